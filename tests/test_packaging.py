"""What users install: everything in it, nothing outside `mbrl`, working from any folder."""

import configparser
import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("mbrl", "datasets", "dynamics", "agents")
BARE = ("datasets", "dynamics", "agents")


def test_packages_listed_are_the_folders() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    mapped = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    folders = {p.parent.relative_to(ROOT) for part in PARTS for p in (ROOT / part).rglob("__init__.py")}
    expected = {
        str(f).replace("/", ".") if f.parts[0] == "mbrl" else f"mbrl.{'.'.join(f.parts)}" for f in folders
    }
    assert sorted(listed) == sorted(expected)
    assert mapped == {"mbrl": "mbrl", **{f"mbrl.{name}": name for name in BARE}}


def test_every_folder_with_code_is_a_package() -> None:
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build reads, so that it leaves nothing in the working tree."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        out,
        checkout,
    )
    (built,) = out.glob("offline_mbrl-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment that holds the wheel and nothing else."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_code_and_data_under_one_name(wheel: Path) -> None:
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert {n.split("/")[0] for n in names} == {"mbrl"}
    data = {f"mbrl/conf/{p.relative_to(ROOT / 'mbrl/conf')}" for p in (ROOT / "mbrl/conf").rglob("*.yaml")}
    data |= {f"mbrl/datasets/sample/{p.name}" for p in (ROOT / "datasets/sample").glob("*.hdf5")}
    code = {f"mbrl/{p.relative_to(ROOT)}" for name in BARE for p in (ROOT / name).rglob("*.py")}
    code |= {str(p.relative_to(ROOT)) for p in (ROOT / "mbrl").rglob("*.py")}
    assert names == data | code


IMPORT_EVERYTHING = """
import importlib.util, json, sys
found = [name for name in {bare} if importlib.util.find_spec(name)]
sys.path += {libraries}
import mbrl.agents, mbrl.conf, mbrl.datasets, mbrl.dynamics, mbrl.run
config = mbrl.conf.compose(["preset=debug"])
print(json.dumps({{
    "found": found,
    "loaded": [name for name in {bare} if name in sys.modules],
    "files": [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "mbrl"],
    "updates": config.train.updates,
}}))
"""


def test_an_installed_copy_imports_from_another_folder(installed: Path, tmp_path: Path) -> None:
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    code = IMPORT_EVERYTHING.format(bare=BARE, libraries=libraries)
    told = json.loads(_run(installed, "-c", code, cwd=tmp_path).splitlines()[-1])
    assert told["found"] == []
    assert told["loaded"] == []
    assert all(Path(file).is_relative_to(installed.parent.parent) for file in told["files"])
    assert told["updates"] < 100


def test_a_checkout_works_beside_an_installed_copy(installed: Path, checkout: Path) -> None:
    """Python started in the checkout finds its `mbrl` first; its other folders must then be found too."""
    code = (
        "from importlib.util import find_spec as f\n"
        "for name in ('core.types', 'datasets', 'dynamics', 'agents'): print(f('mbrl.' + name).origin)"
    )
    origins = [Path(line).resolve() for line in _run(installed, "-c", code, cwd=checkout).splitlines()]
    inside = ("mbrl/core/types.py", "datasets/__init__.py", "dynamics/__init__.py", "agents/__init__.py")
    assert origins == [(checkout / path).resolve() for path in inside]


def test_pinned_versions_satisfy_what_setup_asks_for() -> None:
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(pin.name.lower(), []).append(pin)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    asked = f"{setup['options']['install_requires']}\n{setup['options.extras_require']['test']}"
    for line in filter(None, asked.splitlines()):
        wanted = Requirement(line)
        for version in ("3.10", "3.11", "3.12", "3.13"):
            environment = {"python_version": version, "python_full_version": f"{version}.0"}
            fitting = [p for p in pins[wanted.name.lower()] if not p.marker or p.marker.evaluate(environment)]
            assert len(fitting) == 1, (wanted.name, version)
            assert wanted.specifier.contains(str(fitting[0].specifier).removeprefix("=="))
