"""Writes docs/events.md from the kinds of events, so that the page is what the code says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from rayanim.events import KINDS, Event

PAGE = Path(__file__).with_name("events.md")

INTRODUCTION = """\
# The log of a job's events

`rayanim run script.py --log-json render.jsonl` (`produce(..., log_json="render.jsonl")`) adds one
line to the file for each event of the job: a JSON object, in ASCII. `--log-json` without a file
writes to standard error. Write it after the script: `--log-json script.py` would name the log.

```json
{"time": "2026-03-01T09:30:12.345Z", "level": "warning", "event": "actor_died", "job": "wave",
 "run": "3f2a91bc", "actor": 3, "reason": "ActorDiedError: ...", "start": 250, "stop": 500}
```

(On one line.) These fields are on every line:

| field | what |
|---|---|
| `time` | when, ISO 8601 in UTC, to the millisecond |
| `level` | `debug` (some lines per segment), `info`, `warning` or `error` |
| `event` | one of the kinds below |
| `job` | the video's name without its suffix |
| `run` | distinguishes jobs for videos of one name; part of the actors' names in Ray |

Frames are half-open, `start` to before `stop`, as positions in the video. Times that end in `_s`
are seconds, of all these frames together. A number that is not known is `null`.

If the log cannot be written any more, for example because its disk is full, the job goes on: one
warning appears with the progress, and a `log_gap` counts the missing lines as soon as lines can be
written again. After 64 MiB of one job the lines of its segments are left out, after 128 MiB all but
the last line. Texts are cut after 2,000 characters.

`--json` is something else: progress and the report for the program that runs the command, on
standard output. Both can be given. The report's fields are those that `help(rayanim.Report)`
describes, for example `incremental_frames` and `full_frames`.
"""


def described(kind: type[Event]) -> Iterator[str]:
    """The lines about one kind."""
    yield f"\n## `{kind.name()}` ({kind.level})\n"
    yield " ".join(inspect.getdoc(kind).split()) + "\n"
    if kind.logged_fields():
        yield "| field | type |\n|---|---|"
        for field in kind.logged_fields():
            yield f"| `{field.name}` | {str(field.type).replace(' | None', ' or null')} |"


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION.rstrip("\n")]
    for kind in KINDS:
        lines += described(kind)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
