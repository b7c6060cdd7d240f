"""Fixtures for every test."""

from collections.abc import Iterator

import pytest
import torch

from tests.simulated import Cuda, RealCuda, SimulatedCuda


@pytest.fixture
def double() -> Iterator[None]:
    """Networks made here are float64, so that agreement can be asked for to many digits."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without their picture, which takes longer than they do; the mark `pictures` brings it back."""
    if request.node.get_closest_marker("pictures") is None:
        monkeypatch.setattr("mbrl.run.build.draw_run", lambda folder: folder / "run.png")


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    """A CUDA device: the machine's own, or one that is simulated (tests/simulated)."""
    with RealCuda() if torch.cuda.is_available() else SimulatedCuda() as device:
        yield device
