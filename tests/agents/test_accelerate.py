"""Every way to run the training step gives the same training: eager, taped, compiled, as a CUDA graph."""

import shutil

import pytest
import torch

from mbrl.agents import AGENTS, BC
from mbrl.core.accelerate import MODES, accelerate, available_modes, pick_mode
from mbrl.core.checkpoint import flatten
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.tape import Recorder, Tape
from tests.fakes import Members, random_transitions

HERE = "cuda" if torch.cuda.is_available() else "cpu"
SEEDS = (3, 9)
CASES = {
    "base": ("sac", {}),
    "ravl": ("sac", {"num_critics": 4, "eta": 1.0}),
    "ravl, members apart": ("sac", {"num_critics": 4, "eta": (0.0, 2.0), "critic_lr": (1e-3, 3e-4)}),
    "mobile": ("mobile", {"model": Members()}),
    "combo": ("combo", {"repeats": 2}),
}


def make(case: str):
    name, options = CASES[case]
    return AGENTS[name](3, 2, seeds=SEEDS, hidden=(16, 16), device=HERE, **options)


def training(agent):
    """step(streams): rows drawn from a fixed table, then an update."""
    table = random_transitions(1, 64)
    table.step.copy_(torch.arange(64) % 4)
    table = table[0].to(HERE)
    return lambda streams: agent.update(table[streams.randint(64, 16)], streams)


def state(agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in flatten(agent.state_dict()).items()}


def run(case: str, mode: str, steps: int = 8):
    agent, streams = make(case), Streams(SEEDS, "train", HERE)
    runner = accelerate(training(agent), streams, mode, agent=agent)
    logs = [{k: v.clone() for k, v in runner().items()} for _ in range(steps)]
    return logs, state(agent), streams.state_dict()["state"]


def same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.allclose(value, expected[name], **tolerance), name


@pytest.mark.parametrize("case", CASES)
def test_a_step_on_draws_taken_ahead_is_the_step(case):
    agents = make(case), make(case)
    plain, taped = Streams(SEEDS, "train", HERE), Streams(SEEDS, "train", HERE)
    steps = [training(agent) for agent in agents]
    recorder = Recorder(taped)
    same(steps[1](recorder), steps[0](plain), rtol=0, atol=0)
    tape = Tape(recorder)
    for _ in range(4):
        tape.fill()
        same(steps[1](tape), steps[0](plain), rtol=0, atol=0)
    same(state(agents[1]), state(agents[0]), rtol=0, atol=0)


COMPILER = pytest.mark.skipif(
    HERE == "cpu" and shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU"
)


# torch's compiler uses what torch itself has deprecated, and looks at gradients of tensors that keep none.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("case", ["ravl"])
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("compile", marks=COMPILER),
        pytest.param("graph", marks=pytest.mark.skipif(HERE == "cpu", reason="CUDA graphs")),
    ],
)
def test_every_mode_trains_as_eager_does(case, mode):
    expected, found = run(case, "eager"), run(case, mode)
    # Fused kernels round otherwise; steps on the same data and draws stay together for a while.
    for a, b in zip(found[0], expected[0], strict=True):
        same(a, b, rtol=1e-3, atol=1e-4)
    same(found[1], expected[1], rtol=1e-2, atol=1e-4)
    assert torch.equal(found[2], expected[2])


@pytest.mark.skipif(HERE == "cpu", reason="CUDA graphs")
@pytest.mark.parametrize("case", CASES)
def test_a_graph_leaves_the_bits_of_eager_steps(case):
    expected, found = run(case, "eager"), run(case, "graph")
    for a, b in zip(found[0], expected[0], strict=True):
        same(a, b, rtol=0, atol=0)
    same(found[1], expected[1], rtol=0, atol=0)


def test_what_can_be_had_where():
    assert pick_mode("auto", torch.device("cpu")) == "eager"
    assert pick_mode("auto", torch.device("cuda")) == "graph"
    assert available_modes("cpu") == ["eager", "compile"]
    assert available_modes("cuda:1") == list(MODES) == ["eager", "compile", "graph"]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("graph", r"train\.accelerate=graph needs device=cuda, this run is on cpu; take auto or eager"),
        ("graphs", r"unknown train\.accelerate 'graphs'; did you mean 'graph'"),
        ("compile", r"train\.accelerate=compile: BC names no methods to compile"),
    ],
)
def test_what_cannot_be_had_is_an_error(mode, message):
    agent = BC(3, 2, seeds=(0,), hidden=(8,))
    with pytest.raises(ConfigError, match=message):
        accelerate(training(agent), Streams((0,), "train"), mode, agent=agent)


class OnCuda:
    """Streams of a device that need not be there: nothing is drawn."""

    device = torch.device("cuda")


class Uneven:
    capturable = False


def test_updates_that_are_not_all_alike_are_not_captured():
    assert accelerate(lambda streams: {"a": 1}, OnCuda(), "auto", agent=Uneven())() == {"a": 1}
    with pytest.raises(ConfigError, match="updates of Uneven are not all alike"):
        accelerate(lambda streams: {}, OnCuda(), "graph", agent=Uneven())
