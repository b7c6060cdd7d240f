"""Vaults of OG-MARL (Formanek et al. 2023), read by the library that writes them: flashbax, an extra.

A vault holds observations [1, T, N, O], actions, rewards, terminals and truncations, padded with zeros, in rows of
time; an episode's last observation is missing, so its last row has no successor. Those that were converted from
OMIGA's data have it in a row of its own (mbrl.datasets.omiga).
"""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbrl.core.errors import ConfigError, DataError, unknown_name
from mbrl.datasets.arrays import from_arrays
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.ends import shared, split_done, without_last_observations
from mbrl.datasets.joint import flat_columns, unpadded_layout
from mbrl.datasets.lineage import LINEAGES, lineage_in
from mbrl.datasets.locate import checked_path, local_id

KEYS = ("observations", "actions", "rewards", "terminals", "truncations")
INSTALL = "pip install 'offline-mbrl[vault]'"
FOLDERS = {"omiga": "multiagent_mujoco", "omar": "multiagent_mujoco", "mamujoco": "mamujoco_v0"}
"""OG-MARL's own folders and where their MuJoCo data come from, by its dataset cards. Of gymnasium_mamujoco they do
not say, and its wrapper went from mamujoco_v0 to v1."""
LIMIT = 1000


def read_vault(
    path: str | Path, *, lineage: str | None = None, limit: int | None = LIMIT, **options: Any
) -> OfflineDataset:
    """The dataset in the vault folder <name>.vlt/<uid>, called "vault/<lineage>/<name>-<uid>".

    lineage: of its simulator; by default what the path says, in a folder of that name or one of OG-MARL's.
    limit: steps after which the environment cut episodes, for vaults that mark this as terminal. Columns that are 0
    in every row at the end of an agent's are padding; layout= says otherwise. options: see `assemble`.
    Raises DataError for a path that is no vault, with what is there instead; ConfigError without flashbax.
    """
    folder = _existing(checked_path(path))
    lineage = lineage or lineage_in(folder.as_posix()) or _known_folder(folder)
    name = local_id(f"{folder.parent.name.removesuffix('.vlt')}-{folder.name}").removeprefix("local/")
    return from_experience(
        _experience(folder),
        id=f"vault/{lineage}/{name}",
        where=str(folder),
        lineage=lineage,
        limit=limit,
        last_observations="omiga" in folder.parts,
        **options,
    )


def from_experience(
    experience: Mapping[str, Any],
    *,
    id: str,
    where: str,
    lineage: str,
    limit: int | None = LIMIT,
    last_observations: bool = False,
    **options: Any,
) -> OfflineDataset:
    """A vault's arrays [K, T, N, ...] as a dataset; K recordings follow one another.

    last_observations: a row at which an episode ends holds its last observation alone. Errors as in `read_vault`.
    """
    columns = _columns(experience, where)
    obs, action, rows = columns["observations"], columns["actions"], len(columns["observations"])
    terminal, truncated = (_flag(columns, name, rows, where) for name in ("terminals", "truncations"))
    reward, cut = shared(columns["rewards"], "rewards", rows, where), columns["cut"]
    layout = options.pop("layout", None) or unpadded_layout(obs, action)
    kept, successors = np.arange(rows), None
    if last_observations:
        kept, successors, ends = without_last_observations(obs, terminal | truncated | cut, where)
        terminal, truncated = split_done(ends, limit)
        truncated[-1] |= not ends[-1]
    elif truncated.any():
        truncated = truncated | (cut & ~terminal)
    else:  # terminals mark every end
        terminal, truncated = split_done(terminal, limit)
        truncated |= cut & ~terminal
    layout, *flat = flat_columns(obs[kept], action[kept], successors, layout, where)
    obs, action, next_obs = flat
    rest = (reward[kept], terminal, truncated, next_obs)
    return from_arrays(obs, action, *rest, id=id, where=where, layout=layout, lineage=lineage, **options)


def _columns(experience: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    """[K * T, N, ...] each, and `cut` [K * T] bool: the last row of each of the K recordings."""
    if missing := [k for k in KEYS if k not in experience]:
        raise DataError(f"{where}: the vault has no {', '.join(missing)}; it has {', '.join(experience)}")
    found = {k: _array(experience[k], k, where) for k in KEYS}
    for name in ("observations", "actions"):
        if found[name].ndim != 4:
            raise DataError(f"{where}: {name} has shape {found[name].shape}; a vault's have [1, T, N, size]")
    recordings, steps, agents, _ = found["observations"].shape
    if not recordings * steps * agents:
        raise DataError(f"{where}: the vault is empty")
    for name, values in found.items():
        wide = name in ("observations", "actions")
        whole = (recordings, steps, agents, values.shape[-1] if wide else 1)
        if not values.size or values.shape not in ((whole,) if wide else (whole[:2], whole[:3], whole)):
            raise DataError(
                f"{where}: {name} has shape {values.shape}, which does not go with {recordings} recordings of "
                f"{steps} steps of {agents} agents"
            )
    cut = np.zeros((recordings, steps), dtype=bool)
    cut[:, -1] = True
    return {k: v.reshape(recordings * steps, *v.shape[2:]) for k, v in (found | {"cut": cut}).items()}


def _array(values: Any, name: str, where: str) -> np.ndarray:
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{where}: {name} is no array of numbers ({error})") from error
    if found.dtype.kind not in "biuf":
        raise DataError(f"{where}: {name} is {found.dtype}, not numbers")
    return found


def _flag(columns: Mapping[str, np.ndarray], name: str, rows: int, where: str) -> np.ndarray:
    """An episode ends when it ends for all its agents."""
    flags = columns[name].reshape(rows, -1)
    bad = ~np.isin(flags, (0, 1)).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{where}: {name} row {row} is {flags[row].tolist()}; flags are 0 or 1")
    return flags.astype(bool).all(axis=1)


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        near = folder.parent
        if not near.is_dir():
            raise DataError(f"no vault {folder}: there is no folder {near}")
        here = [p.name for p in near.iterdir() if p.is_dir()]
        kind = "uid" if near.suffix == ".vlt" else "vault"
        raise DataError(f"{unknown_name(kind, folder.name, here)} (in {near})")
    if (folder / "metadata.json").is_file():
        return folder
    uids = sorted(p.parent.name for p in folder.glob("*/metadata.json"))
    if uids:
        raise DataError(f"{folder} holds the vaults {', '.join(uids)}; name one: {folder / uids[0]}")
    raise DataError(f"{folder} is no vault: no metadata.json in it; a path ends in <name>.vlt/<uid>")


def _known_folder(folder: Path) -> str:
    parts = folder.parts
    known = [FOLDERS[part] for part in ("omiga", "omar", "mamujoco") if part in parts]
    if known and "mpe" not in parts:
        return known[0]
    raise DataError(
        f"{folder}: its path does not say which simulator the data come from; pass lineage= (known: "
        f"{', '.join(LINEAGES)}), or put the vault into a folder of that name"
    )


def _experience(folder: Path) -> dict[str, Any]:
    try:
        from flashbax.vault import Vault
    except ImportError as error:
        raise ConfigError(f"reading vaults needs flashbax ({error}): {INSTALL}") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it reads
            found = Vault(
                rel_dir=str(folder.parent.parent.resolve()),
                vault_name=folder.parent.name,
                vault_uid=folder.name,
            ).read()
    except (OSError, ValueError, AssertionError, KeyError, json.JSONDecodeError) as error:
        raise DataError(
            f"{folder} cannot be read by flashbax: damaged, or of another version: {error}"
        ) from error
    return dict(found.experience)
