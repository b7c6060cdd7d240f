"""How near states at the edge lie to states that updates see: a continuous stand-in for rho_t(s) < epsilon.

Sims et al. (2024, sec. 4) call s edge-of-reach if rho_k(s) > 0 and rho_t(s) = 0 for all t < k, which no sample can
show in a continuous space. The distance to the nearest states that are updated can be measured, and compared with
the same distance of updated states that were held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.diagnose.depths import Depths

QUANTILES = (0.1, 0.5, 0.9)
TAIL = 0.95


@dataclass(frozen=True)
class Nearness:
    """Distances to the `neighbours`-th nearest updated state, in units of the data's standard deviations.

    quantiles [S, k + 1, 3]: QUANTILES by depth of the state. within [S, 3]: of held-out states of all depths that
    are updated, 0..k-1, the yardstick. ratio [S]: median at the edge over median within. beyond [S]: share of
    edge states further out than 95 % of those within; 0.05 if the edge is nothing special. NaN for no state.
    """

    quantiles: Tensor
    within: Tensor
    ratio: Tensor
    beyond: Tensor
    neighbours: int


def nearness(
    depths: Depths,
    updated: Depths,
    data_obs: Tensor,
    scale: Tensor,
    seeds: Sequence[int],
    *,
    neighbours: int = 5,
    reference_rows: int = 50_000,
) -> Nearness:
    """Distances of the states of `depths` (k >= 1) to the data and to the states of `updated` at depths 1..k-1.

    updated: rollouts like these that start from other rows (`others`), since those from the same start would be
    next to these whatever the edge. Of data_obs [n, O] at most reference_rows are taken, drawn a seed, the
    starts of `depths` never among them. scale [O] divides every entry.
    """
    order = Streams(seeds, "audit.reference", data_obs.device).permutation(len(data_obs))
    seen = list(zip(updated.rows, updated.alive, strict=True))[1 : depths.horizon]
    found = []
    for s in range(len(seeds)):
        free = order[s][~torch.isin(order[s], depths.index[s])][:reference_rows]
        reference = torch.cat([data_obs[free], *(rows.obs[s][alive[s]] for rows, alive in seen)])
        tree = cKDTree((reference / scale).cpu().numpy())
        states = [here.obs[s][alive[s]] for here, alive in zip(depths.rows, depths.alive, strict=True)]
        found.append([nearest(tree, (x / scale).cpu().numpy(), neighbours) for x in states])
    return _compare(found, neighbours)


def nearest(tree: cKDTree, query: np.ndarray, neighbours: int) -> np.ndarray:
    """Euclidean distance [Q] of query [Q, O] to its neighbours-th nearest point of the tree, or to its furthest."""
    if not len(query) or not tree.n:
        return np.empty(0)
    return tree.query(query, k=[min(neighbours, tree.n)])[0][:, 0]


def _compare(found: Sequence[Sequence[np.ndarray]], neighbours: int) -> Nearness:
    """The distances of every seed and depth 0..k, and the edge's against all others'."""
    within = [np.concatenate(by_depth[:-1]) for by_depth in found]
    edge = [by_depth[-1] for by_depth in found]
    middle = [(_quantiles(e)[1], _quantiles(w)[1]) for e, w in zip(edge, within, strict=True)]
    beyond = [_beyond(e, w) for e, w in zip(edge, within, strict=True)]
    return Nearness(
        quantiles=torch.tensor(np.array([[_quantiles(d) for d in by_depth] for by_depth in found])),
        within=torch.tensor(np.array([_quantiles(w) for w in within])),
        ratio=torch.tensor([e / w if w > 0 else np.nan for e, w in middle], dtype=torch.float64),
        beyond=torch.tensor(beyond, dtype=torch.float64),
        neighbours=neighbours,
    )


def _quantiles(x: np.ndarray) -> np.ndarray:
    return np.quantile(x, QUANTILES) if len(x) else np.full(len(QUANTILES), np.nan)


def _beyond(edge: np.ndarray, within: np.ndarray) -> float:
    return float((edge > np.quantile(within, TAIL)).mean()) if len(edge) and len(within) else float("nan")
