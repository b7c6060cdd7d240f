"""The dry run of a grid: counts are right by hand, times are scaled right, and nothing is written."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from mbrl.conf import compose
from mbrl.conf.grid import GridPlan, plan_grid
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import DataError
from mbrl.run.build import cost, estimate, train_from_config
from mbrl.run.build.cost import ROWS, STARTS, Cost, cost_of, some_rows, tensor_bytes
from mbrl.run.build.estimate import Datasets, dry_run, models, shapes, size, summary
from mbrl.run.build.grid import run_point

TINY = ("preset=debug", "device=cpu", "train.eval_episodes=1", "train.eval_max_steps=2")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost, "SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)


def config_of(*overrides: str):
    return compose([*TINY, *overrides])


def cost_from(*overrides: str) -> Cost:
    config = config_of(*overrides)
    return cost_of(config, Datasets()(config))


def by_hand(rows) -> int:
    tensors = (getattr(rows, f.name) for f in fields(rows))
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def test_memory_is_what_a_run_holds(tmp_path: Path) -> None:
    options = ("agent=sac", "source.starts=600", "source.horizon=2", "source.retain=3", "train.updates=1")
    assert STARTS < 600, "so that the buffer is larger than what is drawn here"
    config = config_of(*options, "source.refresh_every=1", f"out={tmp_path}/run", "seeds=[0,1]")
    dataset = Datasets()(config)
    found = cost_of(config, dataset)
    tree = load_tree(train_from_config(config) / "checkpoint")[0]
    buffer = flatten(tree["experience"])
    stored = {name: t for name, t in buffer.items() if t.dim() > 2 or t.shape[-1:] == (1200,)}
    row = sum(t[0, 0, 0].nbytes for t in stored.values())
    (model,) = (path for path in Path(config.dynamics.cache).iterdir() if path.is_dir())
    weights = sum(t.nbytes for t in flatten(load_tree(model)[0]).values())
    expected = by_hand(dataset.transitions) + tensor_bytes(tree["agent"]) + 2 * 3 * 1200 * row
    assert found.bytes - expected == pytest.approx(weights, rel=0.05)


def test_times_are_scaled_to_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_timed", lambda work: 2.0)
    options = ("agent=sac", "train.updates=1000", "train.eval_every=300", "train.eval_max_steps=50")
    config = config_of(*options, "source.starts=2000", "source.refresh_every=400")
    dataset = Datasets()(config)
    found = cost_of(config, dataset)
    assert found.updates == found.update * 1000
    # Two seconds for 20 of at most 50 steps, and a look before the first update and at 300, 600 and 900.
    assert found.looks == pytest.approx(2.0 * 50 / 20 * 4)
    # Two seconds for an epoch over a sample of the rows.
    assert found.fit == pytest.approx(2.0 * len(dataset) / min(len(dataset), ROWS))
    cpu = torch.device("cpu")
    learning = cost._learning(config, dataset, cost._dynamics(config, dataset, cpu), cpu)
    draws, _ = cost._draws(config, learning)
    # Four times as many starts as are drawn here, at updates 0, 400 and 800.
    assert draws == pytest.approx(learning.refresh_seconds * 4 * 3)


def test_a_sample_of_the_rows_is_a_dataset_of_the_same_kind() -> None:
    dataset = Datasets()(config_of())
    assert len(dataset) > ROWS
    few = some_rows(dataset)
    assert len(few) == ROWS
    assert (few.sha256, few.obs_dim, few.env) == (dataset.sha256, dataset.obs_dim, dataset.env)
    assert bool((few.episode.diff() >= 0).all())
    assert some_rows(few) is few


@pytest.mark.parametrize(
    ("options", "drawn"),
    [
        (["agent=bc", "source=none", "train.real_ratio=1"], True),
        (["agent=mobile"], True),
        (["agent=mopo", "dynamics=mujoco"], True),
        (["agent=morel", "edge=oracle", "edge.horizon=2"], True),
        (["agent=sac", "stack={agent.eta: [0,1]}", "agent.num_critics=2"], True),
        (["agent=sac", "dynamics=interpolated"], False),
        (["agent=matd3_bc", "source=coda", "dataset.source=sample/hopper-3x1-random-v0"], False),
        (["agent=matd3_bc", "source=pjap", "dataset.source=sample/hopper-3x1-random-v0"], True),
    ],
)
def test_every_kind_of_run_can_be_measured(options: list[str], drawn: bool) -> None:
    found = cost_from(*options)
    assert found.update > 0
    assert found.bytes > 0
    assert (found.draws is not None) == drawn


def test_factors_do_not_make_another_shape() -> None:
    argv = ["agent.eta=0,1,5", "agent.num_critics=2,3", f"out={Path.cwd()}"]
    found = shapes(plan_grid([*TINY, *argv]).points)
    assert [[point.name[:-9] for point in points] for points in found] == [
        ["eta=0-num_critics=2"],
        ["eta=0-num_critics=3"],
        ["eta=1-num_critics=2", "eta=5-num_critics=2"],
        ["eta=1-num_critics=3", "eta=5-num_critics=3"],
    ]
    assert len(shapes(plan_grid([*TINY, "seeds=[0],[1],[0,1]"]).points)) == 2
    assert len(shapes(plan_grid([*TINY, "train.updates=4,8"]).points)) == 2


def test_nothing_is_fitted_written_or_downloaded(monkeypatch, capsys) -> None:
    monkeypatch.setattr("mbrl.run.build.model.fit_cached", lambda *_, **__: pytest.fail("fitted"))
    monkeypatch.setattr("mbrl.datasets.minari_data._download", lambda *_: pytest.fail("downloaded"))
    argv = ["agent=sac", "dataset.source=choice(sample,minari/no/such-v0,gone.hdf5)", "source.horizon=1,2"]
    dry_run(plan_grid([*TINY, *argv, "out=grid"]))
    text = capsys.readouterr().out
    assert list(Path().iterdir()) == []
    assert text.count("  missing  ") == 6
    assert text.count("cannot be estimated: ") == 4
    assert "gone.hdf5" in text
    assert "All 2 one after the other" in text
    assert "Dynamics models to fit first: 1, each once" in text
    assert "Not in the time" in text


def test_what_has_ended_is_not_counted(capsys) -> None:
    argv = ["agent=bc", "source=none", "train.real_ratio=1", "out=grid"]
    plan = plan_grid([*TINY, *argv, "seeds=[0],[1]"])
    run_point(plan.points[0].config, wait=False)
    capsys.readouterr()
    dry_run(plan)
    assert "All 1 one after the other" in capsys.readouterr().out
    dry_run(GridPlan("x", plan.folder, plan.points[:1]))
    assert "Measured" not in capsys.readouterr().out


def test_models_are_counted_once_each_and_not_where_they_are_there() -> None:
    argv = ["agent=sac", "agent.eta=0,1", "dynamics.members=3,4", "dynamics.elites=2", "agent.num_critics=2"]
    plan, datasets = plan_grid([*TINY, *argv]), Datasets()
    found = [([point], Cost(1, 1, 0, 0, 3.0, 0)) for point in plan.points]
    assert models(found, datasets).startswith(
        "Dynamics models to fit first: 2, each once. An epoch takes up to 3 s"
    )
    train_from_config(replace(plan.points[0].config, out="run"))
    assert models(found, datasets).startswith("Dynamics models to fit first: 1")
    assert models([(plan.points, DataError("no file"))], datasets).startswith("No dynamics model")


def test_sums_and_units() -> None:
    plan = plan_grid([*TINY, "seeds=[0],[1],[2]"])
    one, two = Cost(0.1, 100.0, 50.0, 10.0, 0.0, 2**20), Cost(0.1, 7000.0, None, None, 0.0, 3 * 2**30)
    found = [(list(plan.points[:2]), one), (list(plan.points[2:]), two)]
    # 2 * (100 + 50) + 7000 seconds, and 2 * 10.
    assert summary(found) == (
        "All 3 one after the other: 2.03 h, and evaluations of at most 20 s. The largest holds 3 GiB."
    )
    assert summary([(list(plan.points), DataError("x"))]) == "None of them can be estimated."
    assert "?" in estimate.line(plan.points, two)
    assert [size(n) for n in (2**20, 2**29, 2**31)] == ["1 MiB", "512 MiB", "2 GiB"]
