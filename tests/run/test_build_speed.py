"""From train.accelerate and train.precision to what runs."""

import pytest
import torch

from mbrl.agents import AGENTS
from mbrl.conf import compose, load_config
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.nets import StackedMLP
from mbrl.dynamics import Ensemble
from mbrl.run.build import train_from_config
from mbrl.run.build.speed import mode_from_config, precision_from_config

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SIMULATED = ["edge=oracle", "edge.when=update", "dynamics=mujoco"]


@pytest.mark.parametrize(
    ("overrides", "device", "expected"),
    [
        ([], CPU, "eager"),
        ([], CUDA, "graph"),
        (["train.accelerate=compile"], CPU, "compile"),
        (["agent=mobile"], CUDA, "graph"),
        (["agent=mobile", "dynamics=mujoco"], CUDA, "eager"),
        (SIMULATED, CUDA, "eager"),
        (["edge=oracle", "dynamics=mujoco"], CUDA, "graph"),  # recorded when rows are drawn
    ],
)
def test_auto_takes_a_graph_where_one_can_hold_the_update(overrides, device, expected):
    assert mode_from_config(compose(overrides), device) == expected


def test_a_graph_that_was_asked_for_and_cannot_be_had_is_an_error_before_any_work():
    with pytest.raises(
        ConfigError, match=r"edge\.when=update simulates at every update, which a CUDA graph cannot"
    ):
        mode_from_config(compose([*SIMULATED, "train.accelerate=graph"]), CUDA)
    with pytest.raises(ConfigError, match="needs device=cuda, this run is on cpu"):
        mode_from_config(compose(["train.accelerate=graph"]), CPU)


@pytest.mark.parametrize("name", ["accelerate", "precision"])
def test_unknown_names_are_refused_when_the_command_line_is_read(name):
    with pytest.raises(ConfigError, match=rf"train\.{name}"):
        compose([f"train.{name}=fast"])


def test_bf16_reaches_critics_targets_and_the_model_and_leaves_the_actor():
    agent = AGENTS["sac"](3, 2, hidden=(8,))
    model = Ensemble(3, 2, hidden=(8,), weight_decay=(0.0, 0.0))
    precision_from_config(compose(["train.precision=bf16"]), CPU, agent, model)
    low = {part for part in (agent.critics.net, agent.targets.net, model.net) if part.product_dtype}
    assert low == {agent.critics.net, agent.targets.net, model.net}
    assert all(isinstance(part, StackedMLP) and part.product_dtype is torch.bfloat16 for part in low)
    assert agent.actor.net.product_dtype is None
    precision_from_config(compose([]), CPU, AGENTS["bc"](3, 2, hidden=(8,)), object())  # nothing to lower


def test_tf32_is_refused_without_cuda():
    with pytest.raises(ConfigError, match=r"train\.precision=tf32"):
        precision_from_config(compose(["train.precision=tf32"]), CPU, None, None)


def small(folder, *overrides):
    common = ["preset=debug", "train.updates=6", "train.batch_size=32", "train.eval_every=6"]
    return compose([f"out={folder}", f"dynamics.cache={folder.parent / 'cache'}", *common, *overrides])


def weights(run):
    return load_tree(run / "checkpoint")[0]["agent"]["critics"]


def test_a_run_in_bf16_is_one_of_its_own_and_says_so(tmp_path):
    runs = [
        train_from_config(small(tmp_path / precision, "device=cpu", f"train.precision={precision}"))
        for precision in ("float32", "bf16")
    ]
    exact, low = map(weights, runs)
    assert all(value.dtype == torch.float32 for value in low.values())
    assert any(not torch.equal(exact[name], low[name]) for name in exact)
    assert load_config(runs[1] / "config.yaml").train.precision == "bf16"
    with pytest.raises(MismatchError, match=r"train\.precision: float32, was bf16"):
        train_from_config(small(tmp_path / "bf16", "device=cpu", "resume=true", "overwrite=false"))


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("agent", ["ravl", "combo", "mobile"])
def test_a_run_of_graphs_is_a_run_of_single_updates(tmp_path, agent):
    runs = [
        train_from_config(small(tmp_path / mode, "device=cuda", f"agent={agent}", f"train.accelerate={mode}"))
        for mode in ("eager", "graph")
    ]
    eager, graph = map(weights, runs)
    assert all(torch.equal(eager[name], graph[name]) for name in eager)
