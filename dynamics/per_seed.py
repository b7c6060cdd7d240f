"""A model of its own for every seed, made from one that they share."""

from collections.abc import Sequence

import torch

from mbrl.core.errors import MismatchError
from mbrl.dynamics.ensemble import Ensemble


@torch.no_grad()
def copy_per_seed(ensemble: Ensemble, seeds: Sequence[int]) -> Ensemble:
    """A copy with S_d = len(seeds): of each seed's own model, or S times the one model that all share.

    The termination rule is the same object, and shared: whoever trains the copy must leave it alone. Raises
    MismatchError for a stack of another number of models.
    """
    if len(ensemble.seeds) not in (1, len(seeds)):
        raise MismatchError(
            f"{len(ensemble.seeds)} stacked models cannot be shared out to {len(seeds)} seeds: one for all, "
            "or one a seed"
        )
    copy = Ensemble(
        **ensemble.config() | {"seeds": seeds},
        termination=ensemble.termination,
        device=ensemble.elites.device,
    )
    for mine, theirs in ((copy.networks(), ensemble.networks()), (_buffers(copy), _buffers(ensemble))):
        for name, tensor in mine.items():
            # Expands a lead of 1, which a plain `load_state_dict` would refuse.
            tensor.copy_(theirs[name])
    return copy


def _buffers(ensemble: Ensemble) -> dict[str, torch.Tensor]:
    return {"elites": ensemble.elites, "mean": ensemble.normaliser.mean, "std": ensemble.normaliser.std}
