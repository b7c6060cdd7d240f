"""HDF5 files of OMIGA (Wang et al. 2023, "Offline Multi-Agent RL with Implicit Global-to-Local Value
Regularization").

Keys o [B, N, O], a [B, N, A], r and d, one number a row or an agent; s is not read. A row with d = 1 holds the last
observation of an episode, which OMIGA itself uses as a successor only. Its simulator is schroederdewitt's
multiagent_mujoco on mujoco 2.0; observations carry the agent's number and are standardised row by row, so nothing
here can reproduce them.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mbrl.core.errors import DataError
from mbrl.datasets.arrays import from_arrays
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.digest import file_sha256
from mbrl.datasets.ends import shared, split_done, without_last_observations
from mbrl.datasets.h5_arrays import opened, plain_array
from mbrl.datasets.joint import flat_columns, unpadded_layout
from mbrl.datasets.locate import checked_id, existing_file, local_id

KEYS = ("o", "a", "r", "d")
LINEAGE = "multiagent_mujoco"
LIMIT = 1000
"""Steps after which that environment cuts an episode, which its d does not tell from an end."""


def read_omiga(
    path: str | Path,
    *,
    id: str | None = None,
    lineage: str = LINEAGE,
    limit: int | None = LIMIT,
    **options: Any,
) -> OfflineDataset:
    """The dataset in OMIGA's HDF5 file, called "omiga/<lineage>/<name>".

    Episodes of exactly `limit` steps are timeouts, others end in a terminal. Columns that are 0 in every row at the
    end of an agent's are taken for padding; layout= says otherwise. options: see `mbrl.datasets.assemble`.
    Raises DataError, with the file and key, for files of another form, and MismatchError for an environment.
    """
    path = existing_file(path)
    found = _columns(path)
    where, rows = str(path), len(found["o"])
    done = shared(found["d"], "d", rows, where).astype(bool)
    reward = shared(found["r"], "r", rows, where)
    kept, successors, ends = without_last_observations(found["o"], done, where)
    layout = options.pop("layout", None) or unpadded_layout(found["o"], found["a"])
    layout, obs, action, next_obs = flat_columns(
        found["o"][kept], found["a"][kept], successors, layout, where
    )
    terminals, timeouts = split_done(ends, limit)
    if not ends[-1]:
        timeouts[-1] = True  # the file stops here
    note = f"{rows - len(kept):,} rows held an episode's last observation alone; they are its last successor"
    return from_arrays(
        obs,
        action,
        reward[kept],
        terminals,
        timeouts,
        next_obs,
        id=checked_id(id) if id else f"omiga/{lineage}/{local_id(path.stem).removeprefix('local/')}",
        where=where,
        sha256=file_sha256(path),
        layout=layout,
        lineage=lineage,
        notes=[note],
        **options,
    )


def _columns(path: Path) -> dict[str, np.ndarray]:
    with opened(path) as file:
        missing = [k for k in KEYS if k not in file or file.get(k, getclass=True) is not h5py.Dataset]
        if missing:
            raise DataError(
                f"{path}: no key {', '.join(missing)}; OMIGA's files have {', '.join(KEYS)}, this one has "
                f"{', '.join(file) or 'none'}. Files of this project load by their path alone"
            )
        found = {k: plain_array(file, k, path) for k in KEYS}
    for key in ("o", "a"):
        if found[key].ndim != 3 or found[key].shape[:2] != found["o"].shape[:2]:
            raise DataError(
                f"{path}: {key} has shape {found[key].shape}; [B, N, size] is needed, with o's B and N"
            )
    return found
