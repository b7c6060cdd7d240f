"""The README's code runs as it stands, and the commands it names exist."""

import re
import shlex
from pathlib import Path

import pytest

from mbrl.conf import compose
from mbrl.conf.grid import plan_grid

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    python scripts/train(?:_dynamics)?\.py (.*)$", README, flags=re.MULTILINE)
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_code_runs_on_its_own(number, capsys):
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out


def test_there_is_code_to_run():
    assert len(BLOCKS) >= 2


def test_named_files_exist():
    named = re.findall(r"(?:scripts|docs)/[\w./-]+\.(?:py|sh|md|png)", README)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command):
    words = shlex.split(command, comments=True)
    if "-m" not in words:
        compose(words)
        return
    assert plan_grid([word for word in words if word not in ("-m", "--dry-run")]).points
