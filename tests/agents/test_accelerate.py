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

SEEDS = (3, 9)
CASES = {
    "base": ("sac", {}),
    "ravl": ("sac", {"num_critics": 4, "eta": 1.0}),
    "ravl, members apart": ("sac", {"num_critics": 4, "eta": (0.0, 2.0), "critic_lr": (1e-3, 3e-4)}),
    "mobile": ("mobile", {"model": Members()}),
    "combo": ("combo", {"repeats": 2}),
}


def make(case: str, device: str = "cpu"):
    name, options = CASES[case]
    return AGENTS[name](3, 2, seeds=SEEDS, hidden=(16, 16), device=device, **options)


def training(agent, device: str = "cpu"):
    """step(streams): rows drawn from a fixed table, then an update."""
    table = random_transitions(1, 64)
    table.step.copy_(torch.arange(64) % 4)
    table = table[0].to(device)
    return lambda streams: agent.update(table[streams.randint(64, 16)], streams)


def state(agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in flatten(agent.state_dict()).items()}


def run(case: str, mode: str, device: str = "cpu", steps: int = 8):
    agent, streams = make(case, device), Streams(SEEDS, "train", device)
    runner = accelerate(training(agent, device), streams, mode, agent=agent)
    logs = [{k: v.clone() for k, v in runner().items()} for _ in range(steps)]
    return logs, state(agent), streams.state_dict()["state"]


def same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.allclose(value, expected[name], **tolerance), name


@pytest.mark.parametrize("case", CASES)
def test_a_step_on_draws_taken_ahead_is_the_step(case):
    agents = make(case), make(case)
    plain, taped = Streams(SEEDS, "train"), Streams(SEEDS, "train")
    steps = [training(agent) for agent in agents]
    recorder = Recorder(taped)
    same(steps[1](recorder), steps[0](plain), rtol=0, atol=0)
    tape = Tape(recorder)
    for _ in range(4):
        tape.fill()
        same(steps[1](tape), steps[0](plain), rtol=0, atol=0)
    same(state(agents[1]), state(agents[0]), rtol=0, atol=0)


# torch's compiler uses what torch itself has deprecated, and looks at gradients of tensors that keep none.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:The .grad attribute:UserWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_steps_train_as_eager_ones_do():
    expected, found = run("ravl", "eager"), run("ravl", "compile")
    # Fused kernels round otherwise; steps on the same data and draws stay together for a while.
    for a, b in zip(found[0], expected[0], strict=True):
        same(a, b, rtol=1e-3, atol=1e-4)
    same(found[1], expected[1], rtol=1e-2, atol=1e-4)
    assert torch.equal(found[2], expected[2])


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("case", ["ravl", "ravl, members apart"])
def test_a_graph_leaves_the_bits_of_eager_steps(case):
    expected, found = run(case, "eager", "cuda"), run(case, "graph", "cuda")
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
