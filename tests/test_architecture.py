"""The layout is part of the design: who may import whom, and what nobody may do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "core": ROOT / "mbrl/core",
    "conf": ROOT / "mbrl/conf",
    "run": ROOT / "mbrl/run",
    "diagnose": ROOT / "mbrl/diagnose",
    "study": ROOT / "mbrl/study",
    "bench": ROOT / "mbrl/bench",
    "datasets": ROOT / "datasets",
    "dynamics": ROOT / "dynamics",
    "agents": ROOT / "agents",
}
MAY_IMPORT = {
    "core": {"core"},
    "conf": {"conf", "core"},
    "datasets": {"core", "datasets"},
    "dynamics": {"core", "datasets", "dynamics"},
    "agents": {"core", "agents"},
    "run": {"core", "datasets", "run"},
    "run.build": {"core", "conf", "datasets", "dynamics", "agents", "run", "diagnose"},
    "diagnose": {"core", "datasets", "dynamics", "run", "diagnose"},
    "study": {"core", "conf", "datasets", "dynamics", "agents", "run", "diagnose", "study"},
    "bench": {"core", "conf", "datasets", "dynamics", "agents", "run", "diagnose", "study", "bench"},
}
HEAVY = {"mujoco", "minari", "ray", "gymnasium", "hydra", "omegaconf", "matplotlib", "h5py", "pyarrow"}
ONLY_CONF = {"hydra", "omegaconf"}
MAX_LINES = 350


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(dotted module, relative level) of every import, nested ones included; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module or ''}.{alias.name}".strip("."), node.level) for alias in node.names)


def unsafe_calls(tree: ast.AST) -> Iterator[str]:
    """Ways of loading that would run code from a file."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if name == "torch.load" and keywords.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if keywords.get("allow_pickle", "False") != "False":
            yield "allow_pickle"
        if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load") or name in ("eval", "exec"):
            yield name


def violations(part: str, source: str) -> list[str]:
    """What a file with this source in this part does against the rules."""
    tree, found = ast.parse(source), []
    for module, level in imports(tree):
        top, *rest = module.split(".")
        if level:
            found.append(f"relative import of {module}")
        elif top == "mbrl" and rest and rest[0] in FOLDERS and rest[0] not in MAY_IMPORT[part]:
            found.append(f"{part} imports mbrl.{rest[0]}")
        elif top in ("datasets", "dynamics", "agents", "tests", "scripts"):
            found.append(f"bare import of {top}")
        elif top in ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"):
            found.append(f"import of {top}")
        elif (part == "core" and top in HEAVY) or (part != "conf" and top in ONLY_CONF):
            found.append(f"{part} imports {top}")
    lines = source.count("\n")
    return [*found, *unsafe_calls(tree), *([f"{lines} lines"] if lines > MAX_LINES else [])]


def files() -> Iterator[tuple[str, Path]]:
    for part, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            yield ("run.build" if path.parent == ROOT / "mbrl/run/build" else part), path


@pytest.mark.parametrize(
    ("part", "path"), [pytest.param(*f, id=str(f[1].relative_to(ROOT))) for f in files()]
)
def test_file_keeps_to_the_rules(part: str, path: Path) -> None:
    assert violations(part, path.read_text()) == []


def test_every_package_folder_is_known() -> None:
    found = {p.parent for p in (ROOT / "mbrl").glob("*/__init__.py")}
    assert found == {p for p in FOLDERS.values() if p.parent.name == "mbrl"}


def test_the_root_package_imports_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "mbrl/__init__.py").read_text())
    assert {module for module, _ in imports(tree)} <= {"pathlib.Path"}


def test_scripts_are_short_and_hold_no_maths() -> None:
    for path in (ROOT / "scripts").glob("*.py"):
        source = path.read_text()
        used = {module.split(".")[0] for module, _ in imports(ast.parse(source))}
        assert source.count("\n") <= 80, path
        assert not used & {"torch", "numpy", "scipy", "math"}, path


@pytest.mark.parametrize(
    ("part", "source", "message"),
    [
        ("core", "from mbrl.datasets import load", "core imports mbrl.datasets"),
        ("core", "import mujoco.rollout", "core imports mujoco"),
        (
            "agents",
            "def f():\n    from mbrl.dynamics.ensemble import Ensemble",
            "agents imports mbrl.dynamics",
        ),
        ("agents", "from mbrl import dynamics", "agents imports mbrl.dynamics"),
        ("run", "import mbrl.agents.sac as sac", "run imports mbrl.agents"),
        ("diagnose", "from mbrl.agents import SAC", "diagnose imports mbrl.agents"),
        ("conf", "from mbrl.run import train", "conf imports mbrl.run"),
        ("datasets", "from omegaconf import OmegaConf", "datasets imports omegaconf"),
        ("datasets", "from . import record", "relative import of record"),
        ("dynamics", "from datasets import load", "bare import of datasets"),
        ("run", "import pickle", "import of pickle"),
        ("run", "import torch\ntorch.load('a')", "torch.load without weights_only=True"),
        ("run", "import torch\ntorch.load('a', weights_only=False)", "torch.load without weights_only=True"),
        ("run", "import numpy as np\nnp.load('a', allow_pickle=True)", "allow_pickle"),
        ("run", "import yaml\nyaml.load('a', Loader=yaml.Loader)", "yaml.load"),
        ("run", "x = 1\n" * 351, "351 lines"),
    ],
)
def test_the_checker_sees_a_violation(part: str, source: str, message: str) -> None:
    assert violations(part, source) == [message]


@pytest.mark.parametrize("part", ["run.build"])
def test_the_composition_root_may_import_everything(part: str) -> None:
    assert (
        violations(
            part, "".join(f"from mbrl.{name} import x\n" for name in MAY_IMPORT[part] if "." not in name)
        )
        == []
    )
