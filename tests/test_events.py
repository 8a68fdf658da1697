"""The kinds of events: their names, fields and page."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rayanim import events
from rayanim.events import KINDS, Event, InternalEvent

DOCS = Path(__file__).parents[1] / "docs"

FIELDS = {
    "job_started": "output frames resume rayanim host pid",
    "job_finished": "output frames resumed_frames file_bytes elapsed_s engine actors_peak",
    "job_failed": "error text elapsed_s",
    "job_resumed": "frames cached_frames written_bytes",
    "cache_unused": "reason",
    "engine_chosen": "engine reason actors transport",
    "scaling_decided": "target delta reason",
    "actor_asked": "actor",
    "actor_joined": "actor waited_s",
    "actor_died": "actor reason start stop",
    "actor_released": "actor",
    "fleet_changed": "actors nodes",
    "chunk_drawn": "segment start stop actor draw_s convert_s encode_s",
    "segment_retried": "segment start stop reason",
    "segment_encoded": "segment start stop encode_s wait_s",
    "segment_stored": "segment start stop written_bytes",
    "encoder_lost": "reason",
    "encoder_revived": "",
    "notice": "text",
    "log_gap": "lines reason",
}


def test_the_kinds_and_their_fields_are_pinned():
    """Readers of logs rely on them: none goes or changes its name unnoticed."""
    found = {kind.name(): " ".join(field.name for field in kind.logged_fields()) for kind in KINDS}
    assert found == FIELDS


def test_every_kind_that_is_defined_is_listed():
    """A kind that the list lacks would be missing in the documentation."""
    defined = {
        thing
        for thing in vars(events).values()
        if isinstance(thing, type)
        and issubclass(thing, Event)
        and not issubclass(thing, InternalEvent)
    }
    assert defined - {Event, events.SegmentEvent} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_hold_what_json_holds_and_say_so(kind):
    """Numbers, texts and truth values, or null."""
    for field in kind.logged_fields():
        assert str(field.type).removesuffix(" | None") in {"int", "float", "str", "bool"}
    assert len(kind.__doc__) > 20


@pytest.mark.parametrize("name", ["events", "reference"])
def test_the_page_is_what_the_code_says(name):
    """``python docs/write_events.py`` and its kin write them."""
    spec = importlib.util.spec_from_file_location(f"write_{name}", DOCS / f"write_{name}.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == writer.page()
