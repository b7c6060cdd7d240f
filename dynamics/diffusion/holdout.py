"""Segments held out from the fit of a diffusion model, and the noise levels they are looked at."""

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.seeds import Streams
from mbrl.dynamics.diffusion.edm import training_sigma
from mbrl.dynamics.diffusion.segments import Segments

MOST = 2048
"""Segments held out that are looked at."""


def held_out(segments: Segments, fraction: float, streams: Streams) -> tuple[Tensor, Tensor]:
    """Numbers of the segments to train on and to hold out, disjoint; no row is in both.

    Whole episodes, at random, until they have `fraction` of all segments; of a single episode, its last segments,
    less those that overlap with what comes before. At most MOST of those held out are given, evenly spread. Raises
    ConfigError for a fraction outside (0, 1), DataError where nothing is left to train on or to hold out.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"diffusion: holdout_fraction={fraction} must lie in (0, 1)")
    episodes, sizes = segments.episode.unique(return_counts=True)
    held = torch.zeros(len(segments), dtype=torch.bool)
    if len(episodes) > 1:
        order = streams.permutation(len(episodes))[0].cpu()
        taken = order[
            : max(1, min(int((sizes[order].cumsum(0) <= fraction * len(segments)).sum()), len(order) - 1))
        ]
        held = torch.isin(segments.episode, episodes[taken])
        train = ~held
    else:
        first = max(1, int((1 - fraction) * len(segments)))
        held[first:] = True
        train = segments.starts + segments.shape.horizon <= segments.starts[min(first, len(held) - 1)]
    index, rest = held.nonzero().squeeze(-1), train.nonzero().squeeze(-1)
    if not len(index) or not len(rest):
        raise DataError(
            f"diffusion: {len(segments)} segments in {len(episodes)} episodes are too few to train on and hold out"
        )
    return rest, index[:: -(-len(index) // MOST)]


def spread_levels(count: int) -> Tensor:
    """Noise levels [count] as training draws them, by even quantiles, in an order without a trend."""
    quantile = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    # Steps of the golden section visit all quantiles, each start of the list being spread, too.
    order = ((torch.arange(count, dtype=torch.float64) + 1) * 0.6180339887498949).frac().argsort()
    return training_sigma(torch.special.ndtri(quantile))[order].float()
