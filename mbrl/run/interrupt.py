"""A clean stop: the signal is noted, the running update finishes, then the loop saves and leaves."""

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """Context in which the first Ctrl-C or SIGTERM sets `requested`; a second one stops at once.

    at_once: the first one does so too. One inside another decides how to stop, and both have the request.
    Signals can be caught by a main thread only; elsewhere this does nothing and the default applies. Where
    somebody else answers SIGTERM already, as Ray and submitit do in order to start the run again elsewhere, that
    stays: a run that ended well on a node that is going away would not be taken up by another.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.requested, self.at_once = False, at_once
        self.previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if number == signal.SIGINT or _ours(signal.getsignal(number)):
                    self.previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.requested
        self._request(number)
        if again or self.at_once:
            raise KeyboardInterrupt

    def _request(self, number: int) -> None:
        self.requested = True
        around = getattr(self.previous[number], "__self__", None)
        if isinstance(around, StopRequest):
            around._request(number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def _ours(handler: object) -> bool:
    """Whether a handler is the system's default or that of a StopRequest around."""
    return handler is signal.SIG_DFL or isinstance(getattr(handler, "__self__", None), StopRequest)
