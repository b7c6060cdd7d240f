"""Offline data: files, Minari, arrays and our own collection, all as one record of transitions."""

from mbrl.datasets.arrays import from_arrays, from_joint_arrays, read_npz
from mbrl.datasets.d4rl_env import from_d4rl_env
from mbrl.datasets.dataset import OfflineDataset, Stats
from mbrl.datasets.extract import Extracted, extract
from mbrl.datasets.hdf5 import read_hdf5
from mbrl.datasets.load import load
from mbrl.datasets.minari_data import read_minari
from mbrl.datasets.record import Record
from mbrl.datasets.scores import missing_reference, normalized_score, normalized_std, reference

__all__ = [
    "Extracted",
    "OfflineDataset",
    "Record",
    "Stats",
    "extract",
    "from_arrays",
    "from_d4rl_env",
    "from_joint_arrays",
    "load",
    "missing_reference",
    "normalized_score",
    "normalized_std",
    "read_hdf5",
    "read_minari",
    "read_npz",
    "reference",
]
