"""Cells: which there are, what tells them apart, and where they live."""

from dataclasses import replace
from pathlib import Path

import pytest

from mbrl.conf import compose
from mbrl.core.errors import ConfigError
from mbrl.study.cells import choose, digest_of, folder_for, plan
from mbrl.study.request import Request

AXES = {"method": {"a": [], "b": [], "c": [], "x": []}, "k": {"*": ["source.horizon={k}"]}, "w": {"*": []}}
GRIDS = [{"method": ["a", "b"], "k": [1, 2]}, {"method": ["c"]}]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({}, ["a1", "a2", "b1", "b2", "c"]),
        ({"method": ["b", "c"]}, ["b1", "b2", "c"]),
        ({"k": ["2"]}, ["a2", "b2", "c"]),
        ({"k": ["7", "9"], "method": ["a"]}, ["a7", "a9"]),  # k takes any number
        ({"method": ["x", "c"]}, ["x1", "x2", "c"]),  # of the axis, though of no grid
        (
            {"method": ["a", "c"], "k": ["1"], "w": ["8", "9"]},
            ["a18", "a19", "c8", "c9"],
        ),  # of no grid's axes
    ],
)
def test_the_cells_are_the_products_of_the_grids(only, expected):
    cells = choose(GRIDS, only, AXES)
    assert ["".join(cell.values()) for cell in cells] == expected


def test_a_cell_of_two_grids_is_one_cell():
    assert choose([*GRIDS, {"method": ["b"], "k": [2]}], {}, AXES) == choose(GRIDS, {}, AXES)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (
            {"methd": ["a"]},
            "unknown axis 'cells.methd'; did you mean 'cells.method'.*cells.k, cells.method, cells.w",
        ),
        ({"method": ["d"]}, "unknown cells.method 'd'.*known: a, b, c, x"),
    ],
)
def test_values_that_no_grid_has(only, message):
    with pytest.raises(ConfigError, match=message):
        choose(GRIDS, only, AXES)


def test_values_that_no_grid_has_together():
    grids, axes = (
        [{"m": ["a"], "d": ["t"]}, {"m": ["b"], "d": ["n"]}],
        {"m": {"a": [], "b": []}, "d": {"t": [], "n": []}},
    )
    with pytest.raises(ConfigError, match=r"no cell has all of cells.m=\['b'\], cells.d=\['t'\]"):
        choose(grids, {"m": ["b"], "d": ["t"]}, axes)


def request(tmp_path, *overrides, study="penalty_correlation", **only):
    return Request(study, "debug", tmp_path, overrides, only)


def test_overrides_reach_every_cell_after_the_studys_own(tmp_path):
    cells = plan(request(tmp_path, "train.updates=7", "seeds=[5]"))
    assert [cell.settings for cell in cells] == [{"method": "critics_10"}, {"method": "ravl"}]
    assert [cell.config.agent.label for cell in cells] == ["sac", "ravl"]
    assert {cell.config.train.updates for cell in cells} == {7}  # the preset says 4
    assert {tuple(cell.config.seeds) for cell in cells} == {(5,)}
    assert cells[0].config.agent.num_critics == 10
    assert all(cell.folder.parent == tmp_path / "cells" for cell in cells)
    assert len({cell.folder for cell in cells}) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["agent=ravl"], "agent=ravl: this is what the study varies; choose cells with"),
        (
            ["train.upadtes=3"],
            "unknown option 'train.upadtes'; did you mean 'train.updates'.*in the cell method=",
        ),
        (["train.updates=0"], "train.updates must be at least 1.*in the cell method="),
    ],
)
def test_options_that_do_not_fit_are_refused(overrides, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        plan(request(tmp_path, *overrides, method=("ravl",)))
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_numbers(tmp_path):
    cells = plan(request(tmp_path, study="ensemble", num_critics=("3",), eta=("0", "0.5")))
    assert [cell.settings for cell in cells] == [{"num_critics": 3, "eta": 0}, {"num_critics": 3, "eta": 0.5}]
    assert [cell.config.agent.eta for cell in cells] == [0.0, 0.5]


def test_the_digest_is_of_what_decides_the_result():
    config = compose(["preset=debug"])
    digest = digest_of(config)
    for same in (
        replace(config, out="elsewhere", resume=True, overwrite=False, device="cpu"),
        compose(["preset=debug", "dynamics.cache=other", "train.progress=true"]),
        compose(["agent=ravl", "preset=debug", "train.updates=4"]),
    ):
        assert digest_of(same) == digest
    others = ["agent.eta=0.5", "seeds=[1]", "train.updates=5", "source.horizon=3", "dataset.env=Hopper-v5"]
    digests = {digest_of(compose(["preset=debug", other])) for other in others}
    assert len(digests | {digest}) == len(others) + 1
    assert len(digest) == 8
    assert int(digest, 16) >= 0


def test_a_folder_is_named_after_the_settings_or_found_by_its_digest(tmp_path):
    settings = {"method": "mopo std", "weight": -0.5}
    assert folder_for(tmp_path, settings, "0a") == tmp_path / "cells/mopo-std--0.5-0a"
    (tmp_path / "cells/of-another-study-0a").mkdir(parents=True)
    assert folder_for(tmp_path, settings, "0a") == Path(tmp_path / "cells/of-another-study-0a")
    assert folder_for(tmp_path, settings, "0b").name == "mopo-std--0.5-0b"


def test_options_go_to_the_cells_that_have_them(tmp_path):
    """A model's options mean nothing to cells without it; an option of no cell is a mistake."""
    options = ("dynamics.members=5", "dynamics.elites=2", "train.updates=3")
    cells = plan(request(tmp_path, *options, study="rollout_length", horizon=("2",), method=("base",)))
    assert [cell.settings["dynamics"] for cell in cells] == ["true", "learned"]
    assert [cell.config.train.updates for cell in cells] == [3, 3]
    assert [getattr(cell.config.dynamics, "members", None) for cell in cells] == [None, 5]
    with pytest.raises(ConfigError, match=r"unknown option 'dynamics.members'.*in the cell dynamics=true"):
        plan(
            request(
                tmp_path, "dynamics.members=5", study="rollout_length", dynamics=("true",), horizon=("2",)
            )
        )
