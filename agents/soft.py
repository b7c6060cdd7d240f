"""Settings that every soft actor-critic checks before it makes anything."""

import math
from collections.abc import Sequence

from mbrl.core.errors import ConfigError
from mbrl.core.per_member import PerMember, listed


def needs_diversity(eta: PerMember, num_critics: int, hidden: Sequence[int], members: int) -> bool:
    """Whether the diversity term counts for any seed.

    Raises ConfigError for fewer than 1 critic, and where it counts, for fewer than 2 or for linear ones.
    """
    diverse = any(e != 0 for e in listed("eta", eta, members))
    if num_critics < 1 or (diverse and num_critics < 2):
        raise ConfigError(f"num_critics={num_critics} with eta={eta}: diversity compares at least 2 critics")
    if diverse and not hidden:
        raise ConfigError(f"eta={eta} needs a hidden layer: a linear critic's action gradient is constant")
    return diverse


def temperatures(alpha: PerMember, cap: float | None, members: int) -> tuple[list[float], float]:
    """The temperature of every seed, and the cap, infinite for None. Raises ConfigError if one is not positive."""
    alphas, alpha_max = listed("alpha", alpha, members), math.inf if cap is None else cap
    if min(*alphas, alpha_max) <= 0:
        raise ConfigError(f"alpha={alpha}, alpha_max={alpha_max}: the temperature must be positive")
    return alphas, alpha_max
