"""Other libraries, timed in an interpreter of their own: a process each, asked for so many calls at a time."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mbrl.bench.case import Clock
from mbrl.core.errors import ConfigError

SCRIPT = Path(__file__).with_name("peer_process.py")


@dataclass(frozen=True)
class Peers:
    """An interpreter, and the versions of the libraries that it has."""

    python: str
    versions: Mapping[str, str]

    def has(self, library: str) -> bool:
        """Whether `library` ("d3rlpy", "mbrl-lib") can be timed here."""
        return library in self.versions

    def clock(self, library: str, task: Mapping[str, Any], stack: ExitStack) -> Clock:
        """Times the library's version of `task` in a process that the stack ends.

        Raises ConfigError, with the library's last words, if it fails.
        """
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        errors = stack.enter_context((Path(folder) / "errors.txt").open("w+"))
        process = subprocess.Popen(
            [self.python, "-I", str(SCRIPT), library, json.dumps(task)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        stack.callback(_end, process)
        _answer(process, library, errors)

        def seconds(calls: int) -> float:
            print(calls, file=process.stdin, flush=True)
            return _answer(process, library, errors)["seconds"]

        return seconds


def find_peers(python: str) -> Peers:
    """What the interpreter `python`, a path or a command, has.

    Raises ConfigError if it does not run, or has none of the libraries.
    """
    # From another folder, and not resolved: an environment's python is a link that knows where it lies.
    python = os.path.abspath(shutil.which(python) or python)
    try:
        found = subprocess.run(
            [python, "-I", str(SCRIPT), "versions"], capture_output=True, text=True, cwd=tempfile.gettempdir()
        )
    except OSError as error:
        raise ConfigError(
            f"peers={python}: cannot be run ({error.strerror}); name a python interpreter"
        ) from error
    if found.returncode:
        raise ConfigError(f"peers={python}: {_last_line(found.stderr)}; name a python interpreter")
    versions = json.loads(found.stdout)
    if not {"d3rlpy", "mbrl-lib"} & set(versions):
        raise ConfigError(
            f"peers={python}: has neither d3rlpy nor mbrl-lib; docs/performance.md says how to install them"
        )
    return Peers(python, versions)


def _answer(process: subprocess.Popen, library: str, errors: IO[str]) -> dict[str, Any]:
    line = process.stdout.readline()
    if line:
        return json.loads(line)
    process.wait()
    errors.seek(0)
    raise ConfigError(f"{library} fails in the interpreter of peers=: {_last_line(errors.read())}")


def _end(process: subprocess.Popen) -> None:
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
