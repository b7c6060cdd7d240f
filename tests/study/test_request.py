"""The command line of scripts/study.py, and its help."""

import shlex
from pathlib import Path

import pytest

from mbrl.conf.studies import SCALES, study_names
from mbrl.core.errors import ConfigError
from mbrl.study.help import usage
from mbrl.study.request import Request, read_request


def test_reads_what_is_asked_for(tmp_path):
    args = [
        "study=collapse",
        "scale=cpu",
        f"out={tmp_path}/a",
        "cells.method=[base]",
        "agent.eta=2",
        "seeds=[3,4]",
    ]
    request = read_request(args)
    assert request == Request(
        "collapse", "cpu", tmp_path / "a", ("agent.eta=2", "seeds=[3,4]"), {"method": ("base",)}
    )


def test_defaults_are_small_and_in_a_folder_of_their_own():
    assert read_request(["study=collapse"]) == Request(
        "collapse", "debug", Path("runs/study/collapse-debug"), (), {}
    )


def test_one_value_of_an_axis_needs_no_list_and_true_is_a_word():
    request = read_request(["study=rollout_length", "cells.dynamics=true", "cells.horizon=[1,2]"])
    assert request.only == {"dynamics": ("true",), "horizon": ("1", "2")}


def test_the_command_asks_for_the_same_again(tmp_path):
    source = '"/a b/c.hdf5"'
    args = ["study=rollout_length", f"out={tmp_path}", "cells.dynamics=[true]", f"dataset.source={source}"]
    request = read_request(args)
    command = request.command()
    assert command.startswith("python scripts/study.py study=rollout_length scale=debug")
    assert read_request(shlex.split(command)[2:]) == request


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scale=cpu"], "which study.*known: .*collapse"),
        (["study=colapse"], "unknown study 'colapse'; did you mean 'collapse'"),
        (["stdy=collapse"], "unknown option 'stdy'; did you mean 'study'"),
        (["study=collapse", "scale=tiny"], "unknown scale 'tiny'.*cpu, debug, paper"),
        (["study=collapse", "scael=cpu"], "unknown option 'scael'; did you mean 'scale'"),
        (["study=collapse", "cell.method=base"], "unknown option 'cell.method'.*cells.<axis>"),
        (["study=collapse", "resume=true"], "resume=true: a study resumes by itself"),
        (["study=collapse", "stack={agent.eta: [0,1]}"], "a study has axes of its own; .*cells.<axis>="),
        (["study=collapse", "stack.agent.eta=[0,1]"], "a study has axes of its own"),
        (["study=collapse", "overwrite=true"], "overwrite=true: a study never replaces"),
        (["study=collapse", "seeds=0,1"], r"seeds=0,1: write a list as seeds=\[a,b\]"),
        (["study=collapse", "cells.method=[]"], "an empty list leaves no cell"),
        (["study=collapse", "fast"], "cannot read 'fast': write key=value"),
        (["study=collapse", f"out={__file__}"], "is a file, not a folder"),
    ],
)
def test_a_mistake_is_named(args, message):
    with pytest.raises(ConfigError, match=message):
        read_request(args)


def test_help_lists_studies_scales_and_costs():
    text = usage()
    assert all(f"  {name}: " in text for name in study_names())
    assert all(text.count(f"scale={scale}: ") == len(study_names()) for scale in SCALES)
    assert "cells.method: base, ravl" in text
