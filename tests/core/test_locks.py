"""One holder at a time, across processes, whatever becomes of the holder."""

import subprocess
import sys

import pytest

from mbrl.core import locks
from mbrl.core.errors import CheckpointError, ConfigError
from mbrl.core.locks import held, is_held

posix = pytest.mark.skipif(locks.fcntl is None, reason="file locks are POSIX")
HOLDER = """
import sys
from pathlib import Path
from mbrl.core.locks import held
with held(Path(sys.argv[1]), exit):
    print("held", flush=True)
    sys.stdin.read()
"""


def refuse():
    raise ConfigError("taken")


@posix
def test_another_process_is_kept_out_until_the_holder_is_killed(tmp_path):
    path = tmp_path / "new" / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ConfigError, match="taken"), held(path, refuse):
                pass
        finally:
            holder.kill()
    with held(path, refuse):
        pass


@posix
def test_it_is_let_go_after_an_error(tmp_path):
    with pytest.raises(KeyError), held(tmp_path / ".lock", refuse):
        raise KeyError
    with held(tmp_path / ".lock", refuse), pytest.raises(ConfigError), held(tmp_path / ".lock", refuse):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = f"{tmp_path}/file/x: cannot write a lock file"
    with pytest.raises(CheckpointError, match=message), held(tmp_path / "file/x/.lock", refuse):
        pass


@posix
def test_looking_at_a_lock_changes_nothing(tmp_path):
    path = tmp_path / ".lock"
    assert not is_held(path)
    assert list(tmp_path.iterdir()) == [], "it was not made"
    with held(path, refuse):
        assert is_held(path)
    before = path.stat().st_mtime_ns
    assert not is_held(path)
    assert path.stat().st_mtime_ns == before
    with held(path, refuse):
        pass
