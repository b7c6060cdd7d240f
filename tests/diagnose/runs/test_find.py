"""Runs are found wherever they lie below a folder, each once."""

import json

import pytest

from mbrl.core.errors import DataError
from mbrl.diagnose.runs.find import find_runs
from tests.diagnose.runs.folders import write_run


def names(found):
    return [folder.name for folder in found]


def test_below_folders_in_order_and_each_once(tmp_path):
    for name in ("b/two", "b/one", "a/deep/down/three"):
        write_run(tmp_path / name)
    assert names(find_runs([tmp_path])) == ["three", "one", "two"]
    assert names(find_runs([tmp_path / "b", tmp_path])) == ["one", "two", "three"]


def test_a_glob_that_the_shell_did_not_open(tmp_path):
    for name in ("ravl-0", "ravl-1", "base-0"):
        write_run(tmp_path / name)
    assert names(find_runs([f"{tmp_path}/ravl-*"])) == ["ravl-0", "ravl-1"]
    with pytest.raises(DataError, match="nothing matches"):
        find_runs([f"{tmp_path}/edac-*"])


def test_a_folder_whose_name_looks_like_a_glob(tmp_path):
    write_run(tmp_path / "eta=[1]")
    assert names(find_runs([tmp_path / "eta=[1]"])) == ["eta=[1]"]


def test_a_stack_stands_for_its_points_in_their_order(tmp_path):
    for name in ("eta=1", "eta=0", "left_over"):
        write_run(tmp_path / "stack" / name)
    points = {"eta=1": "finished", "eta=0": "finished"}
    (tmp_path / "stack/result.json").write_text(json.dumps({"status": "finished", "points": points}))
    assert names(find_runs([tmp_path])) == ["eta=1", "eta=0"]


@pytest.mark.parametrize("name", ["../other", "a/b", "", "..", ".", "a\x00"])
def test_points_lie_in_the_stack(tmp_path, name):
    write_run(tmp_path / "other")
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/result.json").write_text(json.dumps({"points": {name: "finished"}}))
    with pytest.raises(DataError, match="not the name of a folder in it"):
        find_runs([tmp_path / "stack"])


def test_a_run_without_a_result_is_found_and_other_folders_are_not(tmp_path):
    write_run(tmp_path / "going_on", status="unfinished")
    (tmp_path / "sweep/.hydra").mkdir(parents=True)
    (tmp_path / "sweep/.hydra/config.yaml").write_text("agent: 1\nseeds: [0]\ntrain: 1\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.yaml").write_text("members: 7\n")
    assert names(find_runs([tmp_path])) == ["going_on"]


def test_links_do_not_lead_in_circles(tmp_path):
    write_run(tmp_path / "a/run")
    (tmp_path / "a/back").symlink_to(tmp_path, target_is_directory=True)
    assert names(find_runs([tmp_path])) == ["run"]


def test_no_run_at_all(tmp_path):
    with pytest.raises(DataError, match="no result.json in or below"):
        find_runs([tmp_path])
    with pytest.raises(DataError, match="cannot be read"):
        find_runs([tmp_path / "missing"])


def test_a_damaged_result_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "result.json").write_text('{"status": ')
    with pytest.raises(DataError, match=r"run/result.json: not JSON"):
        find_runs([tmp_path])
    (folder / "result.json").write_text('{"points": 3}')
    with pytest.raises(DataError, match="points is not a table"):
        find_runs([tmp_path])
