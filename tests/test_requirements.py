"""Whatever is imported is asked for in setup.cfg, and the other way round."""

import ast
import configparser
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mbrl", "datasets", "dynamics", "agents", "scripts")
PEERS = {ROOT / "mbrl/bench/peer_process.py"}
"""Run by an interpreter of the user's choice, with the libraries to compare with."""
ON_DEMAND = {ROOT / "datasets/minari_data.py", ROOT / "datasets/write_minari.py"}
"""Imported where they are needed, so that they may need an extra."""
UNSEEN = {"tensorboard", "pyarrow", "huggingface-hub"}
UNSEEN |= {"ray", "submitit", "hydra-ray-launcher", "hydra-submitit-launcher"}
"""Asked for without an import: other packages import them, or find them among what is installed."""


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether importing the module imports it)."""

    def below(node: ast.AST, now: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name.split(".")[0], now) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and not child.level:
                yield child.module.split(".")[0], now
            yield from below(child, now and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    return below(ast.parse(path.read_text(encoding="utf-8")), True)


def third_party() -> Iterator[tuple[Path, str, bool]]:
    """(file, distribution, whether at import) of every import of somebody else's package."""
    known = {k: v[0] for k, v in importlib.metadata.packages_distributions().items()}
    for path in (p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py") if p not in PEERS):
        for name, now in imported(path):
            if name not in sys.stdlib_module_names and name != "mbrl":
                yield path, normal(known.get(name, name)), now and path not in ON_DEMAND


def normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def asked(text: str) -> set[str]:
    return {normal(Requirement(line).name) for line in text.splitlines() if line.strip()}


def requirements() -> tuple[set[str], set[str]]:
    """What is always installed, and what any extra but the tests' adds."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    more = [asked(text) for name, text in extras.items() if name != "test"]
    return asked(setup["options"]["install_requires"]), set().union(*more)


def test_imports_are_asked_for() -> None:
    always, extras = requirements()
    for path, name, now in third_party():
        assert name in (always if now else always | extras), f"{path} imports {name}"


def test_what_is_asked_for_is_imported() -> None:
    always, extras = requirements()
    assert always | extras <= {name for _, name, _ in third_party()} | UNSEEN


def test_the_walk_sees_nested_imports(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import a.b\nif a:\n    from c import d\ndef f():\n    import e\nfrom . import g\n")
    assert [*imported(path)] == [("a", True), ("c", True), ("e", False)]
