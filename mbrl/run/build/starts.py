"""Where rollouts may start: states, which observations are not where they clip velocities."""

import torch

from mbrl.core.errors import MismatchError
from mbrl.core.types import Dynamics, Reconstructing, Transitions
from mbrl.datasets import OfflineDataset


def starts_for(dynamics: Dynamics, dataset: OfflineDataset, device: torch.device) -> Transitions:
    """Rows [n] that `dynamics` can begin at: all, unless it simulates and no simulator state was recorded.

    Then only those whose observation shows their whole state; prints how many are left out, and raises
    MismatchError if all are.
    """
    rows = dataset.transitions.to(device)
    if rows.sim_state is not None or not isinstance(dynamics, Reconstructing):
        return rows
    known = dynamics.reconstructable(rows.obs)
    out = int((~known).sum())
    if out == len(rows):
        raise MismatchError(
            f"{dataset.id}: true dynamics need states to simulate from; no simulator state is recorded, and no "
            "observation determines its own (velocities clipped in it); record infos/qpos and infos/qvel"
        )
    if out:
        print(
            f"  note         {out:,} of {len(rows):,} rows are left out as starts: no simulator state is recorded, "
            "and velocities are clipped in their observations"
        )
    return rows[known] if out else rows
