"""Returns on D4RL's scale: 0 is its random policy, 100 its expert.

The constants belong to D4RL's own datasets and environments. Data of a similar name that was recorded anew
(Minari's, or one's own) has no reference here, and a score on it would not compare with published ones.
"""

import math
from typing import TypeVar

from mbrl.core.errors import unknown_name
from mbrl.datasets.names import REFERENCES
from mbrl.datasets.neorl2 import TASKS

Numbers = TypeVar("Numbers")  # a float, a numpy array or a tensor


def reference(name: str) -> tuple[float, float] | None:
    """(return at 0, return at 100) of a D4RL dataset, "d4rl/hopper-medium-v2" or without "d4rl/", or of NeoRL-2's
    "neorl2/<task>"; else None."""
    if name.startswith("neorl2/"):
        task = TASKS.get(name.removeprefix("neorl2/").removesuffix("-val"))
        return None if task is None else task.reference
    return REFERENCES.get(name.removeprefix("d4rl/"))


def normalized_score(name: str, returns: Numbers) -> Numbers:
    """100 (return - min) / (max - min), for a float, array or tensor; NaN of the same shape without reference."""
    found = reference(name)
    if found is None:
        return returns * math.nan
    low, high = found
    return 100.0 * ((returns - low) / (high - low))


def normalized_std(name: str, std: Numbers) -> Numbers:
    """A standard deviation of returns on the same scale: 100 std / (max - min), without the offset."""
    found = reference(name)
    if found is None:
        return std * math.nan
    low, high = found
    return 100.0 * (std / (high - low))


def missing_reference(name: str) -> str:
    """Why a dataset has no score, for people; empty if it has one."""
    if reference(name) is not None:
        return ""
    if name.startswith("d4rl/"):
        return f"no reference scores: {unknown_name('D4RL dataset', name.removeprefix('d4rl/'), REFERENCES)}"
    return (
        f"no reference scores for {name!r}: only D4RL's and NeoRL-2's own datasets have them, and scores on data "
        "recorded anew do not compare with theirs; read the raw return"
    )
