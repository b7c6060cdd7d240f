"""One string for any dataset."""

from pathlib import Path
from typing import Any

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets.arrays import read_npz
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.hdf5 import read_hdf5
from mbrl.datasets.locate import d4rl_file, sample_file
from mbrl.datasets.minari_data import read_minari
from mbrl.datasets.names import PATHS
from mbrl.datasets.neorl2 import read_neorl2
from mbrl.datasets.omiga import read_omiga
from mbrl.datasets.vault import read_vault

_FOREIGN = {"omiga": read_omiga, "vault": read_vault}
_READERS = {".hdf5": read_hdf5, ".h5": read_hdf5, ".npz": read_npz}


def load(
    source: str | Path, *, env: EnvSpec | None = None, verbose: bool = True, **options: Any
) -> OfflineDataset:
    """The dataset called `source`, its summary printed unless not `verbose`.

    "sample" or "sample/<name>"     embedded in this package
    "d4rl/hopper-medium-v2"         D4RL's file, in $D4RL_DATASET_DIR or ~/.d4rl/datasets
    "minari/mujoco/hopper/medium-v0"  Minari's, local or downloaded
    "neorl2/Pipeline"               NeoRL-2's file, in $NEORL2_DATASET_DIR or ~/.neorl2/datasets
    "omiga/<path>.hdf5"             OMIGA's file, of several agents
    "vault/<path>.vlt/<uid>"        OG-MARL's vault, of several agents; needs the extra `vault`
    "<path>.hdf5", ".h5", ".npz"    a file

    env: environment to bind; the recorded one by default. options: see `assemble` and the readers.
    Raises DataError with what is wrong and what would be right.
    """
    dataset = _read(str(source), env=env, **options)
    if verbose:
        print(dataset.summary(), flush=True)
    return dataset


def _read(source: str, **options: Any) -> OfflineDataset:
    kind, _, name = source.partition("/")
    if kind in _FOREIGN and name:
        return _FOREIGN[kind](name, **options)
    suffix = Path(source).suffix.lower()
    if suffix in _READERS:
        return _READERS[suffix](source, **options)
    if kind == "sample":
        path = sample_file(name)
        return read_hdf5(path, id=f"sample/{path.stem}", **options)
    if kind == "d4rl":
        return read_hdf5(d4rl_file(name), id=source, **options)
    if kind == "neorl2" and name:
        return read_neorl2(name, **options)
    if kind == "minari" and name:
        return read_minari(name, **options)
    hint = f"; did you mean 'd4rl/{source}'?" if source in PATHS else ""
    raise DataError(
        f"unknown dataset {source!r}{hint} Known are 'sample', 'd4rl/<name>', 'minari/<id>', 'neorl2/<task>', "
        f"'omiga/<path>', 'vault/<path>', and paths that end in {', '.join(_READERS)}"
    )
