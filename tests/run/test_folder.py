"""The run folder before a run: one process at a time, nothing overwritten unasked."""

import subprocess
import sys

import pytest

from mbrl.core import locks
from mbrl.core.errors import ConfigError
from mbrl.run.folder import LOCK, alone, prepare

HOLDER = """
import sys
from mbrl.run.folder import alone
with alone(sys.argv[1:]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(locks.fcntl is None, reason="file locks are POSIX")
def test_a_second_process_is_told_and_a_killed_one_leaves_no_stale_lock(tmp_path):
    folders = [str(tmp_path / "whole"), str(tmp_path / "whole/point")]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *folders], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout.readline() == "held\n"
            for folder in folders:
                message = f"out={folder}: another process is training in this folder"
                with pytest.raises(ConfigError, match=message), alone([folder]):
                    pass
            with alone([tmp_path / "another"]):
                pass
        finally:
            holder.kill()
    with alone(folders):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = f"out={tmp_path}/file/x cannot be written.*choose another out="
    with pytest.raises(ConfigError, match=message), alone([tmp_path / "file/x"]):
        pass


def test_a_run_is_neither_mixed_nor_removed_unasked_and_the_lock_outlives_it(tmp_path):
    with alone([tmp_path]):
        prepare(tmp_path, resume=False, overwrite=False)
        (tmp_path / "checkpoint").mkdir()
        (tmp_path / "metrics.jsonl").touch()
        with pytest.raises(ConfigError, match=r"already holds a run: add resume=true .*overwrite=true"):
            prepare(tmp_path, resume=False, overwrite=False)
        prepare(tmp_path, resume=True, overwrite=False)
        assert (tmp_path / "metrics.jsonl").exists()
        lock = (tmp_path / LOCK).stat().st_ino
        prepare(tmp_path, resume=False, overwrite=True)
        assert [p.name for p in tmp_path.iterdir()] == [LOCK]
        assert (tmp_path / LOCK).stat().st_ino == lock


def test_clearing_does_not_follow_links(tmp_path):
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "data").touch()
    run.mkdir()
    (run / "metrics.jsonl").touch()
    (run / "link").symlink_to(elsewhere)
    prepare(run, resume=False, overwrite=True)
    assert (elsewhere / "data").exists()
    assert not (run / "link").exists()
