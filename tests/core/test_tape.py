"""Draws taken ahead are the draws that would have been taken, from the same generators."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.tape import Recorder, Tape


def draws(streams: Streams) -> list[torch.Tensor]:
    high = torch.tensor([5, 9])
    return [
        streams.randn(3, 2),
        streams.randint(high, 4),
        streams.rand(2),
        streams.randn(1, dtype=torch.float64),
    ]


def test_a_tape_gives_what_the_streams_would_and_leaves_them_where_they_would_be():
    plain, other = Streams([0, 7], "t"), Streams([0, 7], "t")
    recorder = Recorder(other)
    for a, b in zip(draws(plain), draws(recorder), strict=True):
        assert torch.equal(a, b)
    tape = Tape(recorder)
    for _ in range(3):
        tape.fill()
        for a, b in zip(draws(plain), draws(tape), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(plain.state_dict()["state"], other.state_dict()["state"])


def test_a_filled_tape_keeps_its_tensors():
    recorder = Recorder(Streams([0], "t"))
    recorder.randn(3)
    tape = Tape(recorder)
    tape.fill()
    first = tape.randn(3)
    before = first.clone()
    tape.fill()
    assert tape.randn(3).data_ptr() == first.data_ptr()
    assert not torch.equal(first, before)


@pytest.mark.parametrize(
    "ask", [lambda s: s.randn(4), lambda s: s.rand(3), lambda s: (s.randn(3), s.randn(3))]
)
def test_another_draw_than_recorded_is_refused(ask):
    recorder = Recorder(Streams([0], "t"))
    recorder.randn(3)
    tape = Tape(recorder)
    tape.fill()
    with pytest.raises(ConfigError, match=r"cannot be captured: take train\.accelerate=eager"):
        ask(tape)


@pytest.mark.parametrize("ask", [lambda s: s.permutation(3), lambda s: s.spawn("x")])
def test_draws_that_depend_on_more_than_shapes_are_refused(ask):
    recorder = Recorder(Streams([0], "t"))
    for streams in (recorder, Tape(recorder)):
        with pytest.raises(ConfigError, match="cannot be captured"):
            ask(streams)


def in_parts(streams: Streams) -> list[torch.Tensor]:
    """As a step whose members draw different numbers of rows."""
    first, rest = streams.part([1]), streams.part([0, 2])
    drawn = [first.rand(4), streams.randn(2), rest.randint(9, 3), first.randn(1), rest.part([1]).rand(2)]
    return [*drawn, streams.rand(3)]


def test_parts_are_recorded_and_played_with_the_whole():
    plain, other = Streams([0, 7, 0], "t"), Streams([0, 7, 0], "t")
    recorder = Recorder(other)
    for a, b in zip(in_parts(plain), in_parts(recorder), strict=True):
        assert torch.equal(a, b)
    tape = Tape(recorder)
    for _ in range(3):
        tape.fill()
        for a, b in zip(in_parts(plain), in_parts(tape), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(plain.state_dict()["state"], other.state_dict()["state"])


def test_the_same_draw_of_other_members_is_refused():
    recorder = Recorder(Streams([0, 7, 0], "t"))
    recorder.part([0, 2]).randn(3)
    tape = Tape(recorder)
    tape.fill()
    with pytest.raises(ConfigError, match="cannot be captured"):
        tape.part([0, 1]).randn(3)
