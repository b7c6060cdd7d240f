"""No file can run code when it is read, nor put anything outside its folder, nor read what lies there."""

import ast
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from mbrl.conf import load_config
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import CheckpointError, ConfigError, DataError
from mbrl.datasets import load
from mbrl.datasets.locate import checked_id
from tests.reliability.damage import columns

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("mbrl", "datasets", "dynamics", "agents", "scripts")
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"),
    *("yaml.full_load", "yaml.load_all", "pd.read_pickle", "pandas.read_pickle", "torch.jit.load"),
    *("tarfile.open", "shutil.unpack_archive", "urlretrieve", "urllib.request.urlopen", "requests.get"),
}
METHODS = {"extractall", "extract", "read_pickle", "to_pickle", "urlretrieve"}


def findings(source: str) -> list[str]:
    """Ways to run what a file holds, to unpack archives, and to fetch files that nobody checks."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            found += _call(node)
    return found


def _call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
    bad = [name] if name in CALLS else []
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        bad.append(name)
    if name in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
        bad.append(f"{name} without allow_pickle=False")
    if name == "torch.load" and keywords.get("weights_only") != "True":
        bad.append("torch.load without weights_only=True")
    if keywords.get("shell") == "True":
        bad.append(f"{name} with shell=True")
    return bad


def test_nothing_in_the_project_runs_what_it_reads():
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 150
    found = {str(path.relative_to(ROOT)): findings(path.read_text()) for path in files}
    assert {path: ways for path, ways in found.items() if ways} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "yaml.load(f, Loader=yaml.Loader)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "archive.extractall(folder)",
        "request.urlretrieve(url)",
    ],
)
def test_the_search_finds_each_way(source):
    assert findings(source)


def test_what_is_safe_is_not_found():
    assert (
        findings("np.load(f, allow_pickle=False); torch.load(f, weights_only=True); yaml.safe_load(f)") == []
    )


@pytest.mark.parametrize(
    "line",
    ["!!python/object/apply:os.system ['touch {}']", "!!python/name:os.system ''", "!!python/module:os ''"],
)
def test_yaml_runs_nothing(tmp_path, line):
    (tmp_path / "config.yaml").write_text(f"agent: {line.format(tmp_path / 'ran')}\n")
    with pytest.raises(ConfigError, match=r"config.yaml"):
        load_config(tmp_path / "config.yaml")
    assert not (tmp_path / "ran").exists()


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("source", ["{}.npz", "neorl2/DMSD"])
def test_npz_unpickles_nothing(tmp_path, source, monkeypatch):
    monkeypatch.setenv("NEORL2_DATASET_DIR", str(tmp_path))
    bomb = np.array([Bomb(tmp_path / "ran")] * 12)
    names = {"observations": bomb, "obs": bomb, **{k: v for k, v in columns().items() if k != "observations"}}
    np.savez(tmp_path / "DMSD-train.npz", **names)
    np.savez(tmp_path / "a.npz", **names)
    with pytest.raises(DataError, match="holds pickled objects, which are never loaded"):
        load(source.format(tmp_path / "a"))
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_place_of_a_checkpoint_is_not_unpickled(tmp_path):
    import pickle

    for name in ("tensors.safetensors", "meta.json"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match="damaged"):
        load_tree(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["../outside.npy", "/etc/outside.npy", "a/../../outside.npy", "C:\\outside.npy"]
)
def test_names_in_an_archive_that_lead_elsewhere_are_refused(tmp_path, name):
    path = tmp_path / "deep" / "a.npz"
    path.parent.mkdir()
    np.savez(path, **columns())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(DataError, match="a path to elsewhere"):
        load(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.npz", "deep"]


def test_a_symlink_in_an_archive_is_no_way_to_another_file(tmp_path):
    secret = tmp_path / "secret.npy"
    np.save(secret, np.zeros((12, 3), dtype=np.float32))
    path = tmp_path / "a.npz"
    np.savez(path, **{k: v for k, v in columns().items() if k != "observations"})
    link = zipfile.ZipInfo("observations.npy")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(secret))
    with pytest.raises(DataError, match="observations"):
        load(path)


@pytest.mark.parametrize(
    "id", ["../x", "/etc/x", "a/../b", "~/x", "a//b", "..", "a\\b", "a\nb", "", "-/../x"]
)
def test_ids_that_lead_out_of_a_folder_are_refused(id):
    with pytest.raises(DataError, match="is not names of letters"):
        checked_id(id)
    with pytest.raises(DataError):
        load(f"minari/{id}")


def write_h5(path: Path, skip: str = "") -> None:
    with h5py.File(path, "w") as file:
        for key, values in columns().items():
            if key != skip:
                file[key] = values


def with_object(file, folder):
    file.create_dataset("observations", shape=(12,), dtype=h5py.string_dtype())


def with_reference(file, folder):
    file.create_dataset("observations", shape=(12,), dtype=h5py.ref_dtype)


def with_external_storage(file, folder):
    (folder / "secret").write_bytes(bytes(144))
    file.create_dataset("observations", (12, 3), "f4", external=[(str(folder / "secret"), 0, 144)])


def with_virtual(file, folder):
    write_h5(folder / "other.hdf5")
    layout = h5py.VirtualLayout((12, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.hdf5"), "observations", (12, 3))
    file.create_virtual_dataset("observations", layout)


def with_external_link(file, folder):
    write_h5(folder / "other.hdf5")
    file["observations"] = h5py.ExternalLink(str(folder / "other.hdf5"), "observations")


def with_a_huge_claim(file, folder):
    file.create_dataset("observations", (10**9, 10**3), "f8", chunks=(1024, 1000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_object, "variable-length objects"),
        (with_reference, "variable-length objects"),
        (with_external_storage, "lies in another file"),
        (with_virtual, "lies in another file"),
        (with_external_link, "observations"),
        (with_a_huge_claim, "claims to be 8,000,000,000,000 bytes in a file of"),
    ],
)
def test_hdf5_speaks_for_itself_only(tmp_path, make, message):
    path = tmp_path / "a.hdf5"
    write_h5(path, skip="observations")
    with h5py.File(path, "a") as file:
        make(file, tmp_path)
    with pytest.raises(DataError, match=message):
        load(path)
    with h5py.File(path, "a") as file:
        file.move("observations", "o")
        file["a"], file["r"], file["d"] = np.zeros((12, 1, 2)), np.zeros(12), np.zeros(12)
    with pytest.raises(DataError, match="another file|objects|claims|is a link|no key o"):
        load(f"omiga/{path}")
