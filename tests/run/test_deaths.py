"""Starts that were killed are counted for as long as no checkpoint is reached; other ends are no deaths."""

import json

import pytest

from mbrl.core.errors import ConfigError, MbrlError
from mbrl.run.build.deaths import MOST, STARTS, deaths_counted
from mbrl.run.build.grid import run_point, state_of
from tests.run.stacks import small

ABANDONED = []
"""Held, since Python ends a context that nobody holds."""


def _killed(folder):
    """What a start leaves that never comes to its end."""
    ABANDONED.append(deaths_counted(folder))
    ABANDONED[-1].__enter__()


def _checkpoint(folder, sums):
    (folder / "checkpoint").mkdir(exist_ok=True)
    (folder / "checkpoint/sha256sums").write_text(sums)


def test_too_many_deaths_at_one_place_are_an_error_once(tmp_path):
    for _ in range(MOST):
        _killed(tmp_path)
    with (
        pytest.raises(MbrlError, match=f"killed {MOST} times without reaching another checkpoint"),
        deaths_counted(tmp_path),
    ):
        pytest.fail("started")
    with deaths_counted(tmp_path):
        pass
    assert not (tmp_path / STARTS).exists()


def test_a_checkpoint_between_them_sets_the_count_back(tmp_path):
    for i in range(3 * MOST):
        _checkpoint(tmp_path, f"sums of {i // (MOST - 1)}")
        _killed(tmp_path)
    for _ in range(MOST):
        _checkpoint(tmp_path, "the last")
        _killed(tmp_path)
    with pytest.raises(MbrlError), deaths_counted(tmp_path):
        pass


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt, SystemExit])
def test_any_end_that_is_no_kill_sets_the_count_back(tmp_path, error):
    for _ in range(MOST - 1):
        _killed(tmp_path)
    try:
        with deaths_counted(tmp_path):
            if error:
                raise error
    except (KeyError, KeyboardInterrupt, SystemExit):
        pass
    assert not (tmp_path / STARTS).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"starts": 9}', '{"checkpoint": "", "starts": "many"}'])
def test_a_damaged_count_is_none(tmp_path, text):
    (tmp_path / STARTS).write_text(text)
    _killed(tmp_path)
    assert json.loads((tmp_path / STARTS).read_text())["starts"] == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match="missing cannot be written"), deaths_counted(tmp_path / "missing"):
        pass


def test_a_point_that_keeps_being_killed_has_failed_and_is_tried_anew_by_the_next_start(tmp_path):
    config = small(tmp_path, "train.updates=2")
    folder = tmp_path / "run"
    folder.mkdir()
    for _ in range(MOST):
        _killed(folder)
    assert run_point(config, wait=True) == "failed"
    assert "was killed" in state_of(config).why
    assert run_point(config, wait=True) == "finished"
    assert state_of(config).status == "finished"
