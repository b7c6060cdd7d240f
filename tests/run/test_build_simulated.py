"""True and interpolated dynamics by configuration: runs end to end, starts that are states, what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from mbrl.conf import compose
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_arrays
from mbrl.dynamics import Ensemble, Interpolated, TrueDynamics
from mbrl.run.build import dataset_from_config, dynamics_from_config, train_from_config
from mbrl.run.build.audit import audit_run
from mbrl.run.build.model import fit_is_due, true_dynamics
from mbrl.run.build.source import source_from_config
from mbrl.run.build.starts import starts_for

CPU = torch.device("cpu")
RUNS = [
    ["dynamics=mujoco"],
    ["dynamics=mujoco", "dynamics.threads=2", "edge=oracle", "edge.horizon=5"],
    ["dynamics=mujoco", "edge=oracle", "edge.horizon=3", "edge.when=update", "train.bias_states=4"],
    ["dynamics=mujoco", "agent=mobile", "seeds=[3,1]"],
    ["dynamics=mujoco", "agent=combo"],
    ["dynamics=mujoco", "agent=morel"],
    ["dynamics=interpolated"],
    ["dynamics=interpolated", "dynamics.weight=0.5", "edge=oracle", "edge.horizon=5", "agent=mopo"],
    ["dynamics=interpolated", "dynamics.weight=-0.5", "edge=oracle", "edge.horizon=5", "agent=mobile"],
    ["dynamics=interpolated", "dynamics.ensemble.per_seed=true", "seeds=[3,1]", "agent=morel"],
]


def make(folder, *overrides):
    kind = next((o for o in overrides if o.startswith("dynamics=")), "dynamics=ensemble")
    where = {"dynamics=interpolated": ["dynamics.ensemble.cache"], "dynamics=mujoco": []}
    caches = [f"{key}={folder.parent / 'cache'}" for key in where.get(kind, ["dynamics.cache"])]
    return compose([f"out={folder}", "device=cpu", "preset=debug", *overrides, *caches])


def learned(run):
    return flatten(load_tree(run / "checkpoint")[0]["agent"])


@pytest.mark.parametrize("overrides", RUNS, ids=" ".join)
def test_runs_end_to_end(overrides, tmp_path, capsys):
    config = make(tmp_path / "run", *overrides)
    folder = train_from_config(config)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["updates"] == config.train.updates
    fitted = config.dynamics.name == "interpolated"
    assert (tmp_path / "cache").exists() == fitted
    assert (
        "InvertedPendulum-v5 itself, simulated: there is nothing to fit" in capsys.readouterr().out
    ) != fitted


def test_mopo_has_nothing_to_penalise_in_the_true_dynamics(tmp_path):
    plain, mopo = (
        train_from_config(make(tmp_path / name, "agent=sac", "dynamics=mujoco", *more))
        for name, more in (("plain", []), ("mopo", ["penalty=mopo_aleatoric", "penalty.coefficient=5"]))
    )
    a, b = learned(plain), learned(mopo)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_weight_0_is_the_run_with_the_learned_model_bit_for_bit(tmp_path):
    runs = [["dynamics=ensemble"], ["dynamics=interpolated", "dynamics.weight=0"], ["dynamics=interpolated"]]
    a, b, c = (learned(train_from_config(make(tmp_path / str(i), *run))) for i, run in enumerate(runs))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    assert len(list((tmp_path / "cache").glob("ensemble-*/meta.json"))) == 1  # one fit serves every weight


def test_what_is_mixed(tmp_path):
    config = make(tmp_path / "run", "dynamics=interpolated", "dynamics.weight=-0.25", "dynamics.threads=1")
    dataset = dataset_from_config(config)
    assert fit_is_due(config, dataset)
    model = dynamics_from_config(config, dataset, CPU)
    assert not fit_is_due(config, dataset)
    assert isinstance(model, Interpolated)
    assert isinstance(model.truth, TrueDynamics)
    assert model.truth.env == dataset.env
    assert model.weight == -0.25
    fresh = Ensemble(**model.learned.config())
    for name, weights in fresh.networks().items():
        assert torch.equal(model.untrained.networks()[name], weights)
    assert torch.equal(model.untrained.normaliser.mean, model.learned.normaliser.mean)
    assert model.untrained.termination is model.learned.termination


def test_an_audit_misses_the_learned_model_inside_a_mixture(tmp_path):
    run = train_from_config(make(tmp_path / "run", "dynamics=interpolated"))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ConfigError, match=rf"not in the cache {tmp_path / 'cache'} any more"):
        audit_run(run, starts=2, mc_horizon=1, progress=False)


def test_nothing_is_due_for_the_true_dynamics(tmp_path):
    config = make(tmp_path / "run", "dynamics=mujoco")
    assert not fit_is_due(config, dataset_from_config(config))


def falling(clipped, *, env="Walker2d-v5", size=17, n=20):
    """Rows without simulator state; the first `clipped` have a velocity out of bounds."""
    obs = np.zeros((n, size))
    obs[:, 0], obs[:, 2] = 1.25, np.linspace(-0.5, 0.5, n)
    obs[:clipped, 12] = 10.0
    actions = np.zeros((n, 6 if size == 17 else 3))
    ends = np.arange(n) == n - 1
    return from_arrays(obs, actions, np.ones(n), ~ends & False, ends, obs, env=EnvSpec(env))


def test_starts_that_cannot_be_simulated_are_left_out_and_counted(tmp_path, capsys):
    config, dataset = make(tmp_path / "run", "dynamics=mujoco"), falling(clipped=7)
    truth = true_dynamics(dataset, CPU, threads=1)
    source = source_from_config(config, dataset, truth, CPU)
    assert torch.equal(source.data.obs, dataset.transitions.obs[7:])
    assert "note         7 of 20 rows are left out as starts: no simulator state" in capsys.readouterr().out
    model = Interpolated(Ensemble(17, 6), truth, 0.5)
    assert torch.equal(starts_for(model, dataset, CPU).obs, dataset.transitions.obs[7:])
    assert len(starts_for(model.learned, dataset, CPU)) == 20
    with pytest.raises(
        MismatchError, match=r"no observation determines its own .* record infos/qpos and infos/qvel"
    ):
        starts_for(truth, falling(clipped=20), CPU)
    capsys.readouterr()
    assert len(starts_for(truth, falling(clipped=0), CPU)) == 20
    assert capsys.readouterr().out == ""


def test_recorded_states_leave_nothing_out(tmp_path):
    dataset = dataset_from_config(make(tmp_path / "run"))
    rows = starts_for(true_dynamics(dataset, CPU, threads=1), dataset, CPU)
    assert rows.sim_state is not None
    assert len(rows) == len(dataset)


def test_a_learned_threshold_ignores_rows_that_cannot_be_simulated(tmp_path, capsys):
    """MOReL measures discrepancy on the data, one step from every start."""
    config, dataset = make(tmp_path / "run", "dynamics=mujoco", "agent=morel"), falling(clipped=7)
    source_from_config(config, dataset, true_dynamics(dataset, CPU, threads=1), CPU)
    assert "largest discrepancy on the data 0" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["mujoco", "interpolated"])
@pytest.mark.parametrize(
    ("env", "message"),
    [
        (None, r"need to know the environment: set dataset\.env=<id>"),
        ("Reacher-v5", r"for true dynamics 'Reacher-v5'.*known: Ant-v4, .*docs/true_dynamics.md"),
    ],
)
def test_without_a_known_simulator_nothing_is_begun(tmp_path, kind, env, message):
    path = tmp_path / "data.npz"
    rows = np.zeros((30, 10))
    ends = np.arange(30) == 29
    np.savez(
        path,
        observations=rows,
        actions=rows[:, :2],
        rewards=rows[:, 0],
        terminals=~ends & False,
        timeouts=ends,
        next_observations=rows,
    )
    named = [] if env is None else [f"dataset.env={env}"]
    config = make(tmp_path / "run", "dataset=npz", f"dataset.source={path}", *named, f"dynamics={kind}")
    with pytest.raises(ConfigError, match=message):
        train_from_config(config)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
