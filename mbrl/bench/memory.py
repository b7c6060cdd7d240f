"""How large a run gets, by rows of the dataset and by critics: each case is a short run in a process of its own.

It loads a file, fits a model to all of its rows, fills the synthetic buffer, updates and saves. The model is a
narrow one and its batches are large, for time: what a fit holds is its rows, not its weights.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

from mbrl.bench.buffer import row_bytes
from mbrl.bench.case import Plan, Row
from mbrl.bench.setup import Setup
from mbrl.core.errors import ConfigError

EPISODE = 100
BLOCK = 100_000
"""Rows that are written at a time."""
FIT_BATCH = 4096


def plans(setup: Setup) -> list[Plan]:
    """Rows of the dataset with the most critics, then fewer critics with the most rows."""
    rows, critics = setup.sizes.memory_rows, setup.sizes.memory_critics
    cases = [(count, critics[-1]) for count in rows] + [(rows[-1], few) for few in critics[:-1]]
    return [Plan(name_of(*case), partial(run, setup, *case), 1) for case in cases]


def name_of(rows: int, critics: int) -> str:
    """A case's name."""
    return f"memory/rows{rows}-N{critics}"


def run(setup: Setup, rows: int, critics: int, tick: Callable[[], object]) -> list[Row]:
    """One row: the peak, what the program takes before it has any data, and what must be held."""
    sizes = setup.sizes
    with TemporaryDirectory() as folder:
        write_data(Path(folder) / "data.hdf5", rows, sizes.obs_dim, sizes.action_dim)
        found = in_a_process(overrides(setup, Path(folder), critics))
    tick()
    synthetic = sizes.retain * sizes.starts * sizes.horizon
    held = held_bytes(
        (rows + synthetic) * row_bytes(setup.rows(1)),
        critics,
        (sizes.obs_dim + sizes.action_dim, *sizes.hidden, 1),
    )
    size = {"rows": rows, "synthetic_rows": synthetic, "num_critics": critics, "floor_bytes": held}
    timing = {"median_s": None, "floor_s": None, "spread": None}
    name = name_of(rows, critics)
    return [{"case": name, "device": str(setup.device), "mode": "eager", **timing, **size, **found}]


def held_bytes(data: int, critics: int, sizes: tuple[int, ...]) -> int:
    """Data, and of every critic its weights, target, gradient and Adam's two moments in float32."""
    weights = sum((i + 1) * o for i, o in pairwise(sizes))
    return data + 5 * 4 * critics * weights


def overrides(setup: Setup, folder: Path, critics: int) -> list[str]:
    """Options of train.py: as many refreshes as the buffer keeps, an update after each."""
    sizes = setup.sizes
    return [
        "dataset=hdf5",
        f"dataset.source={folder}/data.hdf5",
        "dynamics.termination=none",
        f"dynamics.cache={folder}/models",
        "dynamics.hidden=[8]",
        "dynamics.weight_decay=[0,0]",
        "dynamics.max_epochs=1",
        f"dynamics.batch_size={FIT_BATCH}",
        f"source.starts={sizes.starts}",
        f"source.horizon={sizes.horizon}",
        f"source.retain={sizes.retain}",
        "source.refresh_every=1",
        f"agent.num_critics={critics}",
        f"agent.hidden=[{','.join(map(str, sizes.hidden))}]",
        f"train.updates={sizes.retain}",
        f"train.batch_size={sizes.batch_size}",
        "train.progress=false",
        f"device={setup.device}",
        f"out={folder}/run",
    ]


def in_a_process(arguments: list[str]) -> Row:
    """What memory_process says of such a run. Raises ConfigError with its last words if it fails."""
    command = [sys.executable, "-m", "mbrl.bench.memory_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it was ended from outside, as for want of memory"]
        raise ConfigError(f"the run whose memory was to be measured failed: {lines[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def write_data(path: Path, rows: int, obs_dim: int, action_dim: int) -> None:
    """A file in D4RL's layout, written block by block."""
    rng = np.random.default_rng(0)
    widths = {"observations": (obs_dim,), "next_observations": (obs_dim,), "actions": (action_dim,)}
    with h5py.File(path, "w") as file:
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            block = {
                key: np.tanh(rng.standard_normal((count, *shape), dtype=np.float32))
                for key, shape in {**widths, "rewards": ()}.items()
            }
            block["terminals"] = np.zeros(count, dtype=bool)
            block["timeouts"] = np.arange(first + 1, first + count + 1) % EPISODE == 0
            for key, values in block.items():
                if first == 0:
                    file.create_dataset(key, (rows, *values.shape[1:]), values.dtype)
                file[key][first : first + count] = values
