"""A clean stop: the signal is noted, the running update finishes, then the loop saves and leaves."""

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """Context in which the first Ctrl-C or SIGTERM sets `requested`; a second one stops at once.

    Signals can be caught by a main thread only; elsewhere this does nothing and the default applies.
    """

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
