"""Whatever happens in whatever order: each frame once, in order, within the window, to an end."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scheduler_world import FRAME_BYTES, Weather, World

from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.chunks import ChunkQueue, Drawn
from rayanim.engine.draw import DrawnMeta, Timings
from rayanim.engine.messages import (
    Action,
    Answered,
    Arrived,
    Ask,
    Begin,
    CallFailed,
    Died,
    End,
    EndSegment,
    Exclude,
    Finish,
    Joined,
    Release,
    Submit,
    Taken,
    Tick,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.scheduler import (
    LOOK_S,
    MIN_TIMEOUT_S,
    SILENCE_S,
    TICK_S,
    Scheduler,
    SchedulerSettings,
    timeout_s,
)
from rayanim.errors import (
    FarmSilentError,
    FarmStartError,
    FrameError,
    SetupError,
)
from rayanim.events import (
    ActorDied,
    ActorReleased,
    ChunkDrawn,
    CopyDrawn,
    Notice,
    ScalingDecided,
    SegmentRetried,
    StatusShown,
)
from rayanim.events import Event as JobEvent
from rayanim.parameters import NumberFeed

STORMY = Weather(dies=0.05, freezes=0.02, is_slow=0.02, loses_payload=0.05, loses_write=0.1)


def check(world: World) -> None:
    """Every frame was encoded once and in order, every segment ended, the window kept."""
    frames = [frame for index in sorted(world.encoded) for frame in world.encoded[index]]
    assert frames == list(range(world.n_frames))
    assert not world.written or max(world.written.values()) == 1
    # A segment ends by its last chunk, or is written whole, and never both.
    assert set(world.ended).isdisjoint(world.written)
    assert set(world.ended) | set(world.written) == set(world.encoded)
    assert all(world.encoded[index][-1] == stop - 1 for index, stop in world.ended.items())
    queue = world.scheduler.queue
    assert queue.in_flight_bytes == queue.queued_frames == 0


def finish(world: World) -> None:
    """Run it to its end: a right video, or an error where no actor is left that answers."""
    try:
        world.run()
    except FarmSilentError:
        assert all(each.is_frozen for each in world.actors.values())
    else:
        check(world)


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    seed=st.integers(0, 2**32),
    n_frames=st.integers(1, 150),
    segment_frames=st.none() | st.integers(1, 40),
    limit_frames=st.integers(0, 60),
    actors=st.integers(1, 6),
    nodes=st.integers(1, 3),
)
def test_each_frame_is_encoded_once_and_in_order_whatever_happens(
    seed: int,
    n_frames: int,
    segment_frames: int | None,
    limit_frames: int,
    actors: int,
    nodes: int,
) -> None:
    """Deaths, freezes, slow actors, lost payloads and late answers change nothing but the time."""
    world = World(
        seed,
        STORMY,
        n_frames=n_frames,
        segment_frames=segment_frames,
        limit_frames=limit_frames,
        actors=actors,
        nodes=nodes,
    )
    finish(world)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), limit_frames=st.integers(12, 60))
def test_the_window_holds_where_nothing_is_drawn_twice(seed: int, limit_frames: int) -> None:
    """Raw frames count from when they are given out, segments from when they were drawn."""
    world = World(seed, Weather(), limit_frames=limit_frames, actors=5)
    world.run()
    check(world)
    # Encoded segments are not counted while they are drawn: at most one of each actor.
    assert world.most_in_flight_bytes <= limit_frames * FRAME_BYTES + 5 * 7


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hundreds_of_stormy_jobs_end_well() -> None:
    """The same as above, for seeds that do not change."""
    for seed in range(300):
        finish(World(seed, STORMY, n_frames=40 + seed % 50, segment_frames=7 + seed % 13))


# ---- single steps


class Desk:
    """A scheduler with actors whose answers a test gives one by one."""

    def __init__(
        self, *, n_frames: int = 40, segment_frames: int = 10, actors: int = 2, **settings: object
    ) -> None:
        plan = SegmentPlan(NumberFeed(n_frames), segment_frames)
        chunks = iter(lambda: plan.take(5), None)
        self.now_s = 0.0
        self.did: list[Action] = []
        self.scheduler: Scheduler[str] = Scheduler(
            ChunkQueue(chunks, frame_bytes=1, limit_bytes=1000),
            SchedulerSettings(
                limits=ScalingLimits(min_actors=actors, max_actors=actors),
                limit_bytes=1000,
                likely_frames=lambda: 5,
                depth=1,
                total=n_frames,
                **settings,  # type: ignore[arg-type]
            ),
            now_s=0.0,
        )
        self.on(Begin(actors, "begin"))

    def on(self, event: object, after_s: float = 0.0) -> list[Action]:
        self.now_s += after_s
        self.did = self.scheduler.on(event, self.now_s)  # type: ignore[arg-type]
        return self.did

    def open(self, number: int, node: str = "a") -> None:
        self.on(Answered(number, node))
        self.on(Joined(number))

    def given(self) -> dict[int, Chunk]:
        """What a turn of the loop gives out."""
        return {each.number: each.chunk for each in self.on(Tick()) if isinstance(each, Submit)}

    def draw(self, number: int, chunk: Chunk, took_s: float = 1.0, **meta: object) -> list[Action]:
        timings = Timings(took_s, 0.0, len(chunk))
        return self.on(
            Arrived(number, chunk, DrawnMeta(timings, 9, payload_bytes=5, **meta), "frames"),  # type: ignore[arg-type]
            after_s=took_s,
        )

    def events(self, kind: type) -> list:
        return [each for each in self.did if type(each) is kind]


def test_a_job_from_its_first_actor_to_its_end() -> None:
    """Asked for, given a chunk, its frames handed on, the segment ended, the actor released."""
    desk = Desk(n_frames=10, actors=1)
    assert Ask(1) in desk.did
    assert desk.given() == {}
    desk.open(1)
    first = desk.given()[1]
    assert [type(each) for each in desk.draw(1, first)] == [ChunkDrawn, Drawn]
    second = desk.given()[1]
    did = desk.draw(1, second)
    assert [each.last for each in did if isinstance(each, EndSegment)] == [second]
    for chunk in (first, second):
        desk.on(Taken(chunk, 0.1, 0.0))
    assert desk.scheduler.queue.finished
    assert Release(1) in desk.on(Finish())


def test_frames_that_come_early_wait_for_those_before() -> None:
    """An encoder gets its segment's frames in order."""
    desk = Desk()
    desk.open(1), desk.open(2)
    given = desk.given()
    assert not [each for each in desk.draw(2, given[2]) if isinstance(each, Drawn)]
    handed = [each.chunk for each in desk.draw(1, given[1]) if isinstance(each, Drawn)]
    assert handed == [given[1], given[2]]


def test_what_a_dead_actor_held_is_drawn_by_another() -> None:
    """What it drew counts as lost once, with a message; what waited does not."""
    desk = Desk()
    desk.open(1), desk.open(2)
    given = desk.given()
    desk.on(Died(1, "a", "signal 9"))
    assert desk.events(ActorDied)[0].start == given[1].start
    assert "died while drawing frames 0 to 4 (signal 9)" in desk.events(SegmentRetried)[0].message
    desk.draw(2, given[2])
    assert desk.given()[2] == given[1]


def test_code_that_fails_is_tried_once_on_another_node() -> None:
    """A second failure is the script's, and ends the job."""
    desk = Desk()
    desk.open(1, "a"), desk.open(2, "b")
    given = desk.given()
    failure = FrameError("Frame 3 failed.", frame=3)
    desk.on(CallFailed(1, given[1], failure))
    assert "another one tries" in desk.events(SegmentRetried)[0].message
    desk.draw(2, given[2])
    again = desk.given()
    assert again[2] == given[1] and again[1] != given[1]
    with pytest.raises(FrameError):
        desk.on(CallFailed(2, given[1], failure))


def test_code_that_fails_on_the_only_node_ends_the_job() -> None:
    """There is nobody else to ask."""
    desk = Desk()
    desk.open(1), desk.open(2)
    with pytest.raises(FrameError):
        desk.on(CallFailed(1, desk.given()[1], FrameError("no", frame=1)))


def test_a_source_that_cannot_be_opened_on_one_node_excludes_it() -> None:
    """A library may be missing there; where it fails everywhere the job ends."""
    desk = Desk()
    desk.on(Answered(1, "a"))
    did = desk.on(CallFailed(1, None, SetupError("no module"), usable={"a", "b"}))
    assert Exclude("a") in did and End(1) in did
    assert "left out; others try" in desk.events(Notice)[0].text
    desk.on(Answered(2, "b"))
    with pytest.raises(SetupError):
        desk.on(CallFailed(2, None, SetupError("no module"), usable={"a", "b"}))


def test_actors_that_all_die_while_they_start_end_the_job() -> None:
    """Not for ever one after the other."""
    desk = Desk(actors=1)
    with pytest.raises(FarmStartError, match="in a row died while they opened the source"):
        for number in range(1, 10):
            desk.on(Answered(number, "a"))
            desk.on(Died(number, "a", "signal 9", usable={"a"}))
            desk.on(Tick(), after_s=5.0)


def test_a_slow_chunk_is_drawn_by_an_idle_actor_too() -> None:
    """The first to finish counts; the second is an answer, and no frames."""
    desk = Desk(n_frames=15, segment_frames=20)
    desk.open(1), desk.open(2)
    given = desk.given()
    desk.draw(2, given[2], took_s=0.1)
    last = desk.given()[2]
    desk.draw(2, last, took_s=0.1)
    copies: dict[int, Chunk] = {}
    while not copies:
        copies = {
            each.number: each.chunk for each in desk.on(Tick(), LOOK_S) if type(each) is Submit
        }
    assert copies == {2: given[1]}
    assert [type(each) for each in desk.draw(2, given[1])].count(Drawn) == 3
    desk.draw(1, given[1])
    assert desk.events(CopyDrawn) and not desk.events(ChunkDrawn)


def test_idle_actors_do_not_each_look_through_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a long video hundreds are idle, and the loop turns as often in a second."""
    desk = Desk(actors=30, n_frames=50)
    for number in range(1, 31):
        desk.open(number, f"node-{number % 3}")
    given = desk.given()
    desk.draw(1, given[1], took_s=0.1)
    desk.on(Tick(), after_s=LOOK_S)
    copied = len(desk.on(Tick(), after_s=2 * LOOK_S)) + len(desk.on(Tick(), after_s=2 * LOOK_S))
    assert copied > 0
    counted: list[None] = []
    roster = desk.scheduler.roster
    working_nodes = roster.working_nodes
    monkeypatch.setattr(
        type(roster), "working_nodes", lambda self: counted.append(None) or working_nodes()
    )
    desk.on(Tick())
    assert len(counted) <= 1


def test_an_actor_of_a_silent_node_is_given_up() -> None:
    """Its chunk is drawn elsewhere, and not counted as one that kills."""
    desk = Desk(actors=3, n_frames=100)
    for number, node in ((1, "a"), (2, "b"), (3, "b")):
        desk.open(number, node)
    given = desk.given()
    ended: list[Action] = []
    retried: list[SegmentRetried] = []
    while not ended and desk.now_s < 100.0:
        for number in (2, 3):
            if number in given:
                desk.draw(number, given.pop(number), took_s=0.1)
        did = desk.on(Tick(), after_s=0.1)
        given |= {each.number: each.chunk for each in did if isinstance(each, Submit)}
        ended = [each for each in did if isinstance(each, End)]
        retried += desk.events(SegmentRetried)
    assert ended == [End(1)] and retried == []
    assert desk.now_s < 60.0


def test_a_chunk_that_takes_long_everywhere_is_drawn_in_the_end() -> None:
    """Where those who drew it were given up, the next one gets longer."""
    desk = Desk(actors=4, n_frames=40_000)
    for number in range(1, 5):
        desk.open(number, f"node-{number}")
    heavy, given_up, is_drawn = None, 0, False
    began_s: dict[int, tuple[float, Chunk]] = {}
    while not is_drawn and desk.now_s < 300.0:
        did = desk.on(Tick(), after_s=0.1)
        for action in did:
            if isinstance(action, Submit):
                heavy = heavy or action.chunk
                began_s[action.number] = desk.now_s, action.chunk
            elif isinstance(action, End):
                given_up += began_s.pop(action.number)[1] == heavy
            elif isinstance(action, Ask):
                desk.open(action.number, f"node-{action.number}")
        for number, (at_s, chunk) in list(began_s.items()):
            if desk.now_s - at_s >= (40.0 if chunk == heavy else 0.1):
                del began_s[number]
                timings = Timings(desk.now_s - at_s, 0.0, len(chunk))
                desk.on(Arrived(number, chunk, DrawnMeta(timings, 9, payload_bytes=5), "frames"))
                for drawn in [each for each in desk.did if isinstance(each, Drawn)]:
                    desk.on(Taken(drawn.chunk, 0.0, 0.0))
                is_drawn = is_drawn or chunk == heavy
    assert is_drawn and 0 < given_up <= 2


def test_a_loop_that_was_held_up_reads_answers_first() -> None:
    """Their answers are not read yet: nobody is given up after a pause of the loop itself."""
    desk = Desk(actors=2, n_frames=100)
    desk.open(1, "a"), desk.open(2, "b")
    given = desk.given()
    desk.draw(2, given[2], took_s=0.1)
    desk.on(Tick())
    assert not [each for each in desk.on(Tick(), after_s=300.0) if isinstance(each, End)]


def test_an_actor_s_first_chunk_may_take_the_updates_of_all_frames_before() -> None:
    """Where actors run the updates of frames that they skip: others draw new chunks, and not it."""
    desk = Desk(actors=2, n_frames=60, replays=True)
    desk.open(1, "a"), desk.open(2, "b")
    given = desk.given()
    while not desk.scheduler.queue.all_handed_out:
        assert given[1] != given[2]
        desk.draw(1, given.pop(1), took_s=0.1)
        submitted = [each for each in desk.on(Tick(), after_s=1.0) if isinstance(each, Submit)]
        given |= {each.number: each.chunk for each in submitted}


def test_an_actor_that_never_opens_its_source_is_ended() -> None:
    """Ten times what others took is enough."""
    desk = Desk()
    desk.on(Answered(1, "a"))
    desk.open(2, "b")
    desk.on(Tick(), after_s=1.0)
    assert End(1) not in desk.did
    did = desk.on(Tick(), after_s=600.0)
    assert End(1) in did


def test_silence_is_reported_and_ends_the_job_at_last() -> None:
    """With what the job waits for."""
    desk = Desk()
    desk.open(1)
    desk.given()
    desk.on(Tick(), after_s=SILENCE_S + 1)
    assert "Still drawing frames 0 to 4." in desk.events(StatusShown)[0].text
    desk.on(Tick(), after_s=1.0)
    assert not desk.events(StatusShown)
    with pytest.raises(FarmSilentError, match="No actor has answered"):
        desk.on(Tick(), after_s=MIN_TIMEOUT_S + 1e5)


def test_only_what_comes_from_actors_and_encoders_is_news() -> None:
    """A chunk that was taken puts the end of a silent job off."""
    desk = Desk()
    desk.open(1)
    chunk = desk.given()[1]
    desk.draw(1, chunk)
    limit_s = timeout_s(5, 0.2, 0.0)
    desk.on(Taken(chunk, 0.1, 0.0), after_s=limit_s - 1)
    desk.on(Tick(), after_s=limit_s - 1)
    with pytest.raises(FarmSilentError):
        desk.on(Tick(), after_s=2)


def test_many_chunks_are_not_all_named() -> None:
    """A thousand actors' work would fill the terminal each minute."""
    desk = Desk(actors=10, n_frames=200)
    for number in range(1, 11):
        desk.open(number)
    desk.given()
    desk.on(Tick(), after_s=SILENCE_S + 1)
    text = desk.events(StatusShown)[0].text
    assert text.endswith(", and 7 other chunks.") and len(text) < 160


# ---- the number of actors


def rates(
    draw_fps: float, encode_fps: float, *, first: int, most: int = 8, seconds: int = 40
) -> World:
    """A job whose actors draw, and whose encoder takes, so many frames per second."""
    world = World(1, Weather(), n_frames=10**6, segment_frames=None, limit_frames=2000, actors=most)
    world.scheduler.on(Begin(first, "start"), 0.0)
    numbers, busy, waiting, free_s = set(range(1, first + 1)), {}, [], 0.0
    for number in numbers:
        world.scheduler.on(Answered(number, "a"), 0.0)
        world.scheduler.on(Joined(number), 0.0)
    step_s = 0.02
    for step in range(round(40 / step_s)):
        now_s = step * step_s
        for action in world.scheduler.on(Tick(), now_s):
            match action:
                case Ask(number):
                    world.scheduler.on(Answered(number, "a"), now_s)
                    world.scheduler.on(Joined(number), now_s)
                case Submit(number, chunk):
                    began_s = max([now_s, *(due for due, *_ in busy.get(number, []))])
                    busy.setdefault(number, []).append((began_s + len(chunk) / draw_fps, chunk))
                case JobEvent():
                    world.job_events.append(action)
        for number, held in busy.items():
            while held and held[0][0] <= now_s:
                _, chunk = held.pop(0)
                timings = Timings(len(chunk) / draw_fps, 0.0, len(chunk))
                meta = DrawnMeta(timings, 1, payload_bytes=len(chunk) * FRAME_BYTES)
                event = Arrived(number, chunk, meta, "frames")
                handed = [each for each in world.scheduler.on(event, now_s) if type(each) is Drawn]
                waiting += [each.chunk for each in handed]
        while waiting and free_s <= now_s:
            chunk = waiting.pop(0)
            busy_s, idle_s = len(chunk) / encode_fps, max(0.0, now_s - free_s - step_s)
            free_s = max(free_s, now_s - step_s) + busy_s
            world.scheduler.on(Taken(chunk, busy_s, idle_s), now_s)
    return world


def targets(world: World) -> list[int]:
    """The numbers of actors that were asked for, one after the other."""
    return [each.target for each in world.job_events if isinstance(each, ScalingDecided)]


def test_a_starving_encoder_gets_more_actors() -> None:
    """One actor at 50 fps for an encoder of 200: more are asked for, with a reason each."""
    world = rates(50, 200, first=1)
    assert max(targets(world)) > 2
    assert all(each.reason for each in world.job_events if isinstance(each, ScalingDecided))


def test_a_full_queue_releases_actors() -> None:
    """Six actors at 50 fps for an encoder of 50: the queue fills and some go."""
    world = rates(50, 50, first=6)
    assert targets(world)[-1] < 6
    released = Counter(type(each) for each in world.job_events)[ActorReleased]
    assert released > 0


def test_no_more_actors_than_the_most() -> None:
    """Whatever the encoder's appetite, the bound holds."""
    assert max(targets(rates(20, 2000, first=1, most=3))) == 3


def test_the_number_is_decided_no_oftener_than_its_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may tick as often as it likes."""
    desk = Desk()
    counted: list[float] = []
    monkeypatch.setattr(desk.scheduler, "_decide", lambda: counted.append(desk.now_s))
    for _ in range(100):
        desk.on(Tick(), after_s=TICK_S / 10)
    assert len(counted) in (10, 11)


# ---- how long nothing may happen


def test_short_work_has_a_quarter_of_an_hour() -> None:
    """However quick the drawing is: a machine may be that busy with other things."""
    assert timeout_s(10, 0.01, 0.1) == MIN_TIMEOUT_S


def test_slow_frames_are_waited_for_from_the_first_chunk_on() -> None:
    """Twenty times what they took so far."""
    assert timeout_s(10, 30.0, 0.1) == 20 * 10 * 30.0


def test_an_open_that_takes_minutes_is_waited_for() -> None:
    """Twenty times what it took in the first process."""
    assert timeout_s(1, 0.01, 300.0) == 20 * 300.0
