"""Producing things on a thread of their own, while those before them are processed.

Decoding, the networks and all else overlap by this, and results do not depend on the timing of
threads: things arrive in the order in which they are produced. A pool of threads would not do,
since it would have to put them in order again, and would not bound how many wait.
"""

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from pipeline.timings import Timings

POLL_S = 0.1
JOIN_S = 5.0
"""How long closing waits for the thread, which may hang in a read from a dead disk."""

T = TypeVar("T")


def ahead(
    produced: Generator[T, None, None],
    n_ahead: int,
    name: str,
    timings: Timings,
    on_hang: Callable[[], object],
) -> Generator[T, None, None]:
    """Produce on a thread of its own.

    Closing the generator stops the thread.

    Args:
        produced: what to run on the thread; it is closed there. It never yields None.
        n_ahead: how many may wait for the consumer, one that is being produced among them.
        name: what is produced, for the thread's name; idling of the consumer counts as "wait for
            <name>".
        timings: where it counts.
        on_hang: is called when the thread does not end within `JOIN_S`; it then dies with the
            process.

    Yields:
        What is produced, in its order.

    Raises:
        BaseException: what the producer raised, after all that was produced before.
    """
    items: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(n_ahead)
    stop = threading.Event()

    def produce() -> None:
        try:
            while not stop.is_set():
                # before producing: a full queue would let the thread hold one more
                if not room.acquire(timeout=POLL_S):
                    continue
                item = next(produced, None)
                items.put(item)
                if item is None:
                    return
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: it travels to the consumer
            items.put(error)
        finally:
            produced.close()

    thread = threading.Thread(target=produce, name=name, daemon=True)
    thread.start()
    try:
        while True:
            try:
                with timings.stage(f"wait for {name}", 0):
                    item = items.get(timeout=POLL_S)
            except queue.Empty:
                continue  # the thread ends with None or an exception, always
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item
    finally:
        stop.set()
        thread.join(JOIN_S)
        if thread.is_alive():
            on_hang()
