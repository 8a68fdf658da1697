"""Decides, again and again, whether the rest of a film is drawn on Ray, and starts it."""

from __future__ import annotations

from rayanim.errors import FarmStartError
from rayanim.farm.choosing.look import Chooser, in_process
from rayanim.farm.choosing.model import Choice, Costs
from rayanim.farm.connection.session import RaySession
from rayanim.farm.in_process.encoder_threads import EncoderThreads
from rayanim.farm.in_process.local import InProcess
from rayanim.farm.job import Job, Tally

STORE_BYTES = 128 * 2**20
"""Ray's object store where only encoded segments go through it: hundreds of them."""

ENCODED_TO_MEASURE = 60
"""Frames before which an encoder's time tells little: it looks ahead."""


CLEAR = 0.7
"""Where Ray is predicted below this share of the time in process, one look is enough."""

FIRM_S = 2.0
"""For so long each look must find it where it is not that clear: of many looks at what
frames cost lately, on a machine that does other things, one is always wrong."""


class Handover:
    """Knows when actors are to go on with what this process began.

    Parameters
    ----------
    job, tally, chooser
        The job, its counts, and the model that is asked.
    inside
        Draws in this process, and knows what a frame costs here.
    threads
        Encode in this process.
    """

    def __init__(
        self,
        job: Job,
        tally: Tally,
        chooser: Chooser,
        inside: InProcess,
        threads: EncoderThreads,
    ) -> None:
        self._job = job
        self._tally = tally
        self._chooser = chooser
        self._inside = inside
        self._threads = threads
        self._choice: Choice | None = None
        self._for_ray_since_s: float | None = None
        self._session: RaySession | None = None

    def is_due(self, drawn_frames: int) -> bool:
        """Whether to hand over now; starts Ray as soon as that pays.

        Parameters
        ----------
        drawn_frames
            Frames that were drawn in this process.

        Raises
        ------
        FarmStartError
            If Ray was asked for and does not start.
        """
        if self._session is None:
            self._consider(drawn_frames)
        if self._session is None:
            return False
        if self._job.engine == "ray":
            self._session.wait()
            return True
        return (
            self._session.ready and self._has_come(self._session) and self._still_pays(drawn_frames)
        )

    def choice(self, drawn_frames: int) -> Choice:
        """What was chosen; chosen now where nothing was."""
        return self._choice or self._choose(drawn_frames)

    def chosen_here(self, drawn_frames: int) -> Choice:
        """Why all was drawn in this process."""
        choice = self.choice(drawn_frames)
        if choice.engine == "local":
            return choice
        return in_process("all frames were drawn before actors would have been quicker")

    def wait(self) -> None:
        """Wait until the Ray that was started is there.

        Raises
        ------
        FarmStartError
            If it does not start.
        """
        if self._session is not None:
            self._session.wait()

    def stop(self) -> None:
        """Stop the Ray that was started."""
        if self._session is not None:
            self._session.stop()

    def _consider(self, drawn_frames: int) -> None:
        if self._inside.stays is not None:
            self._choice = self._chooser.stay(self._inside.stays)
            return
        known = self._job.engine == "ray" or self._inside.cost.is_known
        if not self._chooser.may_travel or not known:
            return
        choice = self._choose(drawn_frames)
        goes = self._is_firm(choice)
        if self._choice is None or goes:
            # Why it stayed is what the first look says: later ones see a shorter rest.
            self._choice = choice
        if goes or choice.engine == "local":
            self._tally.chosen(choice.engine, choice.reason, choice.actors)
        if goes:
            self._start_ray()

    def _is_firm(self, choice: Choice) -> bool:
        """Whether Ray is chosen, and not by a slip of a moment."""
        if choice.engine == "local":
            self._for_ray_since_s = None
            return False
        now_s = self._tally.elapsed_s
        if self._for_ray_since_s is None:
            self._for_ray_since_s = now_s
        here_s, there_s = choice.predicted_local_s, choice.predicted_ray_s
        if self._job.engine == "ray" or here_s is None or there_s is None:
            return True
        return there_s < CLEAR * here_s or now_s - self._for_ray_since_s >= FIRM_S

    def _start_ray(self) -> None:
        # Where nothing can travel, that is said before Ray starts.
        _ = self._chooser.shipment
        self._session = self._chooser.session(STORE_BYTES)
        self._session.start()

    def _has_come(self, session: RaySession) -> bool:
        """Whether Ray started; where it did not, this process goes on alone."""
        try:
            session.wait()
        except FarmStartError as error:
            self._tally.event_once(f"{error.message} This process draws all frames.", "no Ray")
            self._choice = in_process("Ray did not start")
            return False
        return True

    def _still_pays(self, drawn_frames: int) -> bool:
        """Whether Ray, now that it is there, is still worth it: frames may have become light."""
        self._choice = self._choose(drawn_frames)
        return self._choice.engine == "ray"

    def _choose(self, drawn_frames: int) -> Choice:
        total = self._tally.total
        left = None
        if total is not None:
            left = max(0, total - self._tally.resumed_frames - drawn_frames)
        return self._chooser.choose(self._costs(), left)

    def _costs(self) -> Costs:
        inside, encode_s = self._inside, self._threads.frame_s
        if encode_s is None or self._tally.frames < ENCODED_TO_MEASURE:
            encode_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, inside.cost.usual_s, encode_s, warm_up_s)
