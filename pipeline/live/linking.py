"""Linking on a thread of its own, so that cameras are looked at meanwhile.

A step takes longer the more people are remembered, up to seconds on a machine that has much to do.
`OnlineRunner` makes the worker wait for it, which a recording does not mind; pictures of a live
camera would be missed.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.linking.linker import Linked
from pipeline.online.events import Event
from pipeline.online.runner import OnlineRunner, Seen


class LiveRunner(OnlineRunner[Seen]):
    """As `OnlineRunner`, but no round waits for a step.

    Events are given to `emit` on the thread that calls `follow`, with the next round after the
    step. No step runs then, so that `emit` may use the linker; nobody else may.
    """

    def follow(self, rounds: Iterable[list[Seen]]) -> Linked:
        """Take what closed, round by round, to the end; returns who was who."""
        step: Future[list[Event]] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="link") as thread:
            for closed in rounds:
                self._closed += closed
                if step is not None and step.done():
                    self._emit(step.result())
                    step = None
                if step is None and self._worker.now_s >= self._due_s:
                    step = thread.submit(self._link, *self._taken())
            if step is not None:
                self._emit(step.result())
        self._emit(self._link(*self._taken()))
        return self._online.linked()
