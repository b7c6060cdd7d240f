"""Modes by name, and candidates in them."""

from contextlib import ExitStack

import pytest
import torch

from mbrl.agents import SAC
from mbrl.bench.case import Floor
from mbrl.bench.modes import Mode, at, has, in_precision, modes_for, own
from mbrl.bench.probes import copies, products
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from tests.fakes import random_transitions

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


@pytest.mark.parametrize("units", [True, False])
def test_a_cpu_runs_everything_but_graphs_and_what_it_has_no_units_for(monkeypatch, units):
    monkeypatch.setattr("mbrl.bench.modes.has", lambda precision, device: units and precision == "bf16")
    labels = [mode.label for mode in modes_for([], CPU)]
    assert labels == ["eager", "compile"] + ["eager bf16"] * units


def test_units_are_found_by_how_fast_they_are(monkeypatch):
    seconds = {torch.float32: 1.0, torch.bfloat16: 0.5}
    asked = []

    def fake(step):
        asked.append(step().dtype)
        return lambda calls: calls * seconds[asked[-1]]

    monkeypatch.setattr("mbrl.bench.modes.clock", fake)
    assert has("bf16", CPU)
    assert asked == [torch.float32, torch.bfloat16]
    seconds[torch.bfloat16] = 100.0
    assert not has("bf16", CPU)
    assert not has("tf32", CPU)
    assert has("tf32", CUDA)


def test_a_gpu_runs_everything():
    labels = [mode.label for mode in modes_for([], CUDA)]
    assert labels == ["eager", "compile", "graph", "graph tf32", "graph bf16"]


def test_modes_by_name():
    assert modes_for(["auto", "bf16", "eager"], CPU) == (Mode("eager"), Mode("eager", "bf16"))
    assert modes_for(["auto"], CUDA) == (Mode("graph"),)


@pytest.mark.parametrize(
    ("name", "message"),
    [("eagr", "unknown mode 'eagr'; did you mean 'eager'"), ("graph", "device=cuda"), ("tf32", "CUDA")],
)
def test_a_mode_that_cannot_be_had_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        modes_for([name], CPU)


def test_the_setting_for_products_is_put_back():
    def now():
        return torch.get_float32_matmul_precision()

    def fail(calls):
        assert now() == "high"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at("tf32", CUDA, fail)(1)
    assert now() == "highest"
    with in_precision("tf32", CUDA):
        assert now() == "high"
    assert now() == "highest"
    assert at("tf32", CUDA, lambda calls: float(now() == "high"))(1) == 1.0
    assert now() == "highest"


def test_each_mode_trains_a_learner_of_its_own():
    batch, made = random_transitions(1, 8), []

    def make():
        agent = SAC(3, 2, num_critics=2, hidden=(8, 8))
        made.append(agent)
        return agent, (lambda streams: agent.update(batch, streams)), Streams((0,), "t")

    def floor(precision):
        return Floor(precision, 1.0, lambda calls: 1.0, 1.0)

    with ExitStack() as stack:
        exact, low = own(make, [Mode("eager"), Mode("eager", "bf16")], floor, stack)
        assert [(c.mode, c.floor.kind) for c in (exact, low)] == [
            ("eager", "float32"),
            ("eager bf16", "bf16"),
        ]
        before = [a.critics.net.layers[0].weight.clone() for a in made]
        exact.clock(1)
        changed = [
            not torch.equal(a.critics.net.layers[0].weight, w) for a, w in zip(made, before, strict=True)
        ]
        assert changed == [True, False]
        low.clock(2)
    assert [a.critics.net.product_dtype for a in made] == [None, torch.bfloat16]
    assert [a.targets.net.product_dtype for a in made] == [None, torch.bfloat16]


def test_probes_say_what_they_do():
    floor = products(1000.0, (2, 3, 4, 5), CPU, "bf16")
    assert (floor.kind, floor.amount, floor.probe_amount) == ("bf16 products 2x3x4x5", 1000.0, 240)
    assert floor.probe(2) > 0
    moved = copies(10.0, CPU, block=4096)
    assert (moved.kind, moved.amount, moved.probe_amount) == ("copies", 10.0, 8192)
    assert moved.probe(2) > 0


@pytest.mark.usefixtures("cuda")
def test_graphs_run_on_cuda():
    batch = random_transitions(1, 8).to(CUDA)

    def make():
        agent = SAC(3, 2, num_critics=2, hidden=(8, 8), device=CUDA)
        return agent, (lambda streams: agent.update(batch, streams)), Streams((0,), "t", CUDA)

    with ExitStack() as stack:
        for candidate in own(
            make, modes_for(["graph", "tf32"], CUDA), lambda p: copies(1.0, CUDA, 4096), stack
        ):
            assert candidate.clock(8) > 0
