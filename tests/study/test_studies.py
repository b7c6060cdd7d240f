"""Every study: its file, its cells at every scale, and a whole run at scale=debug."""

import json

import pytest
import yaml

from mbrl.conf.studies import ANY, FOLDER, SCALES, axes_of, load_study, overrides_for, study_names
from mbrl.core.errors import ConfigError
from mbrl.study.cells import choose, plan
from mbrl.study.registry import STUDIES
from mbrl.study.request import Request

WORLDS = ("simple_env", "polynomial_games")
"""Studies with cells of their own, tested in files of their own."""
TRAINING = [name for name in study_names() if name not in WORLDS]
PAPERS = {"mamujoco": "2604.23308", "polynomial_games": "2407.01343"}
"""What a study reruns, where that is not the paper on the edge of reach."""
SOME = {
    "mamujoco": {"learner": ("matd3_bc",), "augmentation": ("none", "pjap", "coda")},
    "ensemble": {"num_critics": ("3",)},
    "model_quality": {"method": ("base", "mopo"), "weight": ("-0.5",)},
    "penalty_correlation": {"method": ("critics_10",)},
    "reward_error": {"method": ("base",)},
    "rollout_length": {"horizon": ("2",)},
    "true_dynamics": {"method": ("base", "base_oracle", "mobile", "edac")},
}
"""A few cells of each: tests/run/test_build.py runs every agent."""
TINY = ("device=cpu", "train.updates=2", "train.eval_episodes=1", "train.eval_max_steps=5")
COMMON = {
    "seeds",
    "dataset",
    "behaviour_return",
    "status",
    "diagnosis",
    "updates",
    "seconds",
    "run",
    "q_last",
}
OWN = {
    "collapse": {
        "at_update",
        "overestimate_curve",
        "overestimate_edge_curve",
        "return_curve",
        "true_value_curve",
    },
    "ensemble": {"penalty_reach", "penalty_edge", "overestimate_curve"},
    "mamujoco": {"action_distance", "refresh_share", "return_curve", "augmentation"},
    "model_quality": {"overestimate_last", "overestimate_edge_last"},
    "penalty_correlation": {"pearson_max_aleatoric", "spearman_ensemble_std", "measures"},
    "reward_error": {"reward_error", "paired_error", "overestimate", "reward_true"},
    "rollout_length": {"overestimate_last", "overestimate_edge_last"},
    "true_dynamics": {"overestimate_last", "penalty_edge"},
}


def reject(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_every_study_has_a_file_and_a_place():
    assert set(study_names()) == set(STUDIES)
    assert set(TRAINING) == set(OWN)


@pytest.mark.parametrize("name", study_names())
def test_every_value_of_every_grid_is_defined(name):
    study = load_study(name)
    assert study.about
    assert f"arXiv {PAPERS.get(name, '2402.12527')}" in study.source
    for scale in SCALES:
        axes = axes_of(study, scale)
        for settings in choose(study.scales[scale].cells, {}, axes):
            overrides_for(axes, settings)
        assert study.scales[scale].cost


@pytest.mark.parametrize(("scale", "dynamics"), [("cpu", ("learned", "none")), ("paper", ("true",))])
@pytest.mark.parametrize("name", TRAINING)
def test_cells_of_the_larger_scales_compose(name, scale, dynamics, tmp_path):
    """One value of axes that take any, and half of the dynamics at each scale."""
    study = load_study(name)
    grids, axes = study.scales[scale].cells, axes_of(study, scale)
    only = {axis: (str(grid[axis][-1]),) for grid in grids for axis in grid if ANY in axes[axis]}
    only |= {"dynamics": [d for d in dynamics if d in axes["dynamics"]]} if "dynamics" in axes else {}
    cells = plan(Request(name, scale, tmp_path, (), only))
    assert len({cell.folder for cell in cells}) == len(cells)
    assert len(cells[0].config.seeds) >= {"cpu": 2, "paper": 4}[scale]
    if scale == "paper":
        assert {cell.config.train.updates for cell in cells} <= {1_000_000, 2_000_000, 3_000_000}
        if name != "mamujoco":  # its data are the user's own
            assert all(cell.config.dataset.source.startswith("d4rl/") for cell in cells)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all studies, as a user may have; the fitted model is shared."""
    return tmp_path_factory.mktemp("studies")


@pytest.mark.parametrize("name", TRAINING)
def test_runs_at_debug_scale(name, out):
    cache = "dynamics.ensemble.cache" if name == "model_quality" else "dynamics.cache"
    cache = "source.diffusion.cache" if name == "mamujoco" else cache
    fitted = name not in ("collapse", "ensemble")
    options = (*TINY, f"{cache}={out}/models") if fitted else TINY
    STUDIES[name].run(Request(name, "debug", out, options, SOME.get(name)))
    rows = json.loads((out / f"{name}.json").read_text(), parse_constant=reject)
    settings = set(load_study(name).scales["debug"].cells[0])
    for row in rows:
        assert row["status"] == "finished", row["diagnosis"]
        assert settings | COMMON | OWN[name] <= row.keys()
        assert len(row["return_last"]) == len(row["seeds"])
        assert json.loads((out / row["run"] / "result.json").read_text())["updates"] == 2
    if name not in ("penalty_correlation", "mamujoco"):
        assert all(isinstance(v, float) for row in rows for v in row["overestimate_last"])
    assert (out / f"{name}.png").stat().st_size > 15_000
    assert f"study={name} scale=debug" in (out / "command.txt").read_text()


def test_a_cell_of_two_studies_is_one_run(tmp_path):
    (one,) = plan(Request("collapse", "debug", tmp_path, (), {"method": ("base",)}))
    one.folder.mkdir(parents=True)
    only = {"method": ("base",), "dynamics": ("true",)}
    assert [cell.folder for cell in plan(Request("true_dynamics", "debug", tmp_path, (), only))] == [
        one.folder
    ]


def test_a_study_file_with_a_mistake_is_named(tmp_path, monkeypatch):
    broken = yaml.safe_load((FOLDER / "collapse.yaml").read_text())
    monkeypatch.setattr("mbrl.conf.studies.FOLDER", tmp_path)
    load_study.cache_clear()
    for change, message in [
        ({"abuot": "a"}, "abuot"),
        ({"scales": {"debug": broken["scales"]["debug"]}}, "scales must be debug, cpu, paper, got debug"),
    ]:
        (tmp_path / "collapse.yaml").write_text(yaml.safe_dump(broken | change))
        with pytest.raises(ConfigError, match=message):
            load_study("collapse")
    load_study.cache_clear()
