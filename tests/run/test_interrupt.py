"""Signals become a request; a second one stops at once; afterwards all is as it was."""

import os
import signal
import threading

import pytest

from mbrl.run.interrupt import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_an_interrupt(number):
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("error", [None, KeyError])
def test_handlers_are_restored_whatever_happens(error):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        with StopRequest():
            assert signal.getsignal(signal.SIGINT) != before[0]
            if error:
                raise error
    except KeyError:
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_it_does_nothing():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_once_the_first_signal_is_an_interrupt(number):
    with StopRequest(at_once=True) as stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert stop.requested


def test_one_inside_another_decides_and_both_have_the_request():
    with StopRequest(at_once=True) as outer:
        with StopRequest() as middle:
            with StopRequest() as inner:
                os.kill(os.getpid(), signal.SIGTERM)
                assert [s.requested for s in (outer, middle, inner)] == [True] * 3
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        with StopRequest() as later:
            assert not later.requested


def test_a_launchers_own_answer_to_sigterm_stays():
    seen = []

    def launcher(number, frame):
        seen.append(number)

    before = signal.signal(signal.SIGTERM, launcher)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert (seen, stop.requested) == ([signal.SIGTERM], False)
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.requested
        assert signal.getsignal(signal.SIGTERM) is launcher
    finally:
        signal.signal(signal.SIGTERM, before)
