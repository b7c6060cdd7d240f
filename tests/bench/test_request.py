"""The command line of scripts/benchmark.py, and its help."""

import shlex
from pathlib import Path

import pytest

from mbrl.bench.help import usage
from mbrl.bench.registry import PARTS
from mbrl.bench.request import KEYS, Request, read_request
from mbrl.core.errors import ConfigError


def test_reads_what_is_asked_for(tmp_path):
    args = ["only=[update/N10,rollout]", "modes=[eager,bf16]", f"out={tmp_path}/a", "scale=debug", "repeat=3"]
    args += ["threads=1", "device=cpu", "peers=/some/python"]
    wanted = Request(
        only=("update/N10", "rollout"),
        modes=("eager", "bf16"),
        out=tmp_path / "a",
        scale="debug",
        repeat=3,
        threads=1,
        device="cpu",
        peers="/some/python",
    )
    assert read_request(args) == wanted
    assert read_request(shlex.split(wanted.command())[2:]) == wanted


def test_defaults():
    whole = read_request([])
    assert whole == Request((), (), Path("runs/benchmark"), "full", 7, None, "auto", None)
    assert read_request(["scale=debug"]).out == Path("runs/benchmark-debug")
    assert read_request(shlex.split(whole.command())[2:]) == whole
    assert read_request(["only=buffer"]).only == ("buffer",)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["onyl=update"], "unknown option 'onyl'; did you mean 'only'"),
        (["only=updates"], "unknown part 'updates'; did you mean 'update'"),
        (["only=updte/N10"], "unknown part 'updte'; did you mean 'update'"),
        (["only=[]"], "an empty list"),
        (["only=update,rollout"], r"write a list as only=\[a,b\]"),
        (["scale=cpu"], "unknown scale 'cpu'.*debug, full"),
        (["repeat=0"], "repeat=0: must be a whole number"),
        (["repeat=1.5"], "repeat=1.5: must be a whole number"),
        (["threads=true"], "threads=True: must be a whole number"),
        (["threads=null"], "threads=None: must be a whole number"),
        (["update"], "cannot read 'update': write key=value"),
        ([f"out={__file__}"], "is a file, not a folder"),
    ],
)
def test_a_mistake_is_named(args, message):
    with pytest.raises(ConfigError, match=message):
        read_request(args)


def test_help_names_every_option_and_part():
    text = usage()
    assert all(f"  {key}=" in text for key in KEYS)
    assert all(f"  {name:<12}{part.about}" in text for name, part in PARTS.items())
