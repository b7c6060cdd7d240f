"""Other libraries in a process of their own: the protocol, and what goes wrong."""

import json
import subprocess
import sys
import textwrap
from contextlib import ExitStack

import pytest

from mbrl.bench import peer_process
from mbrl.bench.case import Floor
from mbrl.bench.peers import SCRIPT, Peers, find_peers
from mbrl.bench.setup import Setup
from mbrl.bench.sizes import SCALES
from mbrl.core.errors import ConfigError

INTERPRETER = """\
    #!{python}
    import json, os, sys
    _, flag, script, what, *task = sys.argv
    assert flag == "-I" and script.endswith("peer_process.py")
    if what == "versions":
        print(json.dumps({{"d3rlpy": "9.9"}}))
    elif json.loads(task[0])["rows"] == 0:
        sys.exit("ValueError: no rows at all")
    else:
        print(json.dumps({{"ready": True}}), flush=True)
        for line in sys.stdin:
            print(json.dumps({{"seconds": 0.25 * int(line)}}), flush=True)
        open({left!r}, "w").write(os.getcwd())
"""


@pytest.fixture
def fake(tmp_path):
    """An interpreter that has a d3rlpy of which every call takes a quarter of a second."""
    path = tmp_path / "python"
    left = str(tmp_path / "left")
    path.write_text(textwrap.dedent(INTERPRETER).format(python=sys.executable, left=left))
    path.chmod(0o755)
    return path


def test_calls_are_timed_over_there(fake, tmp_path):
    peers = find_peers(str(fake))
    assert peers == Peers(str(fake), {"d3rlpy": "9.9"})
    assert peers.has("d3rlpy")
    assert not peers.has("mbrl-lib")
    with ExitStack() as stack:
        clock = peers.clock("d3rlpy", {"rows": 3}, stack)
        assert [clock(1), clock(8)] == [0.25, 2.0]
        assert not (tmp_path / "left").exists()
    # It was let go in time, and did its work elsewhere than in a folder with a package called mbrl.
    assert not (tmp_path / "left").read_text().startswith(str(SCRIPT.parents[2]))


def test_a_relative_path_is_found_from_elsewhere(fake, monkeypatch):
    monkeypatch.chdir(fake.parent.parent)
    peers = find_peers(f"{fake.parent.name}/python")
    with ExitStack() as stack:
        assert peers.clock("d3rlpy", {"rows": 3}, stack)(1) == 0.25
    monkeypatch.setenv("PATH", str(fake.parent))
    assert find_peers("python").python == str(fake)


def test_what_fails_over_there_is_told_here(fake):
    with ExitStack() as stack, pytest.raises(ConfigError, match="d3rlpy fails.*ValueError: no rows at all"):
        find_peers(str(fake)).clock("d3rlpy", {"rows": 0}, stack)


def test_only_what_is_installed_is_a_candidate(fake):
    setup = Setup(SCALES["debug"], "cpu", threads=1, rounds=1, peers=find_peers(str(fake)))
    floor = Floor("f", 1.0, lambda calls: 1.0, 1.0)
    with ExitStack() as stack:
        (found,) = setup.peer("d3rlpy", {"rows": 1}, floor, stack)
        assert (found.mode, found.floor, found.clock(2)) == ("d3rlpy", floor, 0.5)
        assert setup.peer("mbrl-lib", {"rows": 1}, floor, stack) == []
        alone = Setup(SCALES["debug"], "cpu", threads=1, rounds=1)
        assert alone.peer("d3rlpy", {"rows": 1}, floor, stack) == []


def test_an_interpreter_that_is_not_there_or_has_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be run.*name a python interpreter"):
        find_peers(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="name a python interpreter"):
        find_peers("/bin/false")
    with pytest.raises(ConfigError, match="has neither d3rlpy nor mbrl-lib"):
        find_peers(sys.executable)


SERVE = """\
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location("peer_process", {script!r})
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    peer.WORK["fake"] = lambda task: lambda: print("noise", task["rows"])
    peer.serve("fake", {{"threads": 1, "device": "cpu", "rows": 5}})
"""


def test_the_process_answers_in_json_whatever_the_library_prints():
    code = textwrap.dedent(SERVE).format(script=str(SCRIPT))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], input="1\n2\n", capture_output=True, text=True, check=True
    )
    ready, *answers = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert len(answers) == 2
    assert all(answer["seconds"] > 0 for answer in answers)
    assert done.stderr.count("noise 5") == 3


def test_versions_are_those_installed():
    found = peer_process.versions()
    assert "torch" in found
    assert "mbrl-lib" not in found  # ours is called offline-mbrl
