"""How much work a case is, in pure functions: operations of the matrix products that nobody can do without.

A multiplication and an addition are two operations. Counted is what the least wasteful way that we know takes, not
what the code at hand does. Elementwise work and an optimiser's pass over its parameters are left out, as is a
critic's last layer of one column (a share of 1/500 at the published sizes); so a floor from these counts is a bound
from below.
"""

from collections.abc import Sequence
from itertools import pairwise

Product = tuple[int, int, int, int]
"""(L, B, I, O): L products of [B, I] by [I, O]."""


def product_operations(product: Product) -> int:
    """2 L B I O."""
    stack, rows, fan_in, fan_out = product
    return 2 * stack * rows * fan_in * fan_out


def network_operations(rows: int, sizes: Sequence[int]) -> int:
    """One pass of rows through the layers of sizes (I, H, ..., O), forwards or backwards."""
    return sum(product_operations((1, rows, i, o)) for i, o in pairwise(sizes))


def training_operations(rows: int, sizes: Sequence[int]) -> int:
    """Forward pass and gradient of the weights: three passes, but none back to the inputs of the first layer."""
    return 3 * network_operations(rows, sizes) - network_operations(rows, sizes[:2])


def update_operations(
    *, critics: int, diversity: bool, obs_dim: int, action_dim: int, hidden: Sequence[int], rows: int
) -> int:
    """One update of one seed of SAC with N critics; with `diversity`, of EDAC or RAVL.

    Policy: trained at obs, and asked at next_obs. Critics: N forward passes at (obs, policy's action) and, for the
    one that is the least at each row, one pass back to the action; N forward passes of the targets; then the
    regression, which takes N forward passes and N training passes back. With diversity, the way back goes down to
    the action, since dQ/da is needed, and once more up from there for its derivative; one product a layer then
    serves the weight gradients of both terms.
    """
    policy = (obs_dim, *hidden, 2 * action_dim)
    up = network_operations(rows, (obs_dim + action_dim, *hidden))
    inner = network_operations(rows, hidden)
    to_action = inner + product_operations((1, rows, hidden[0], action_dim))
    actor = training_operations(rows, policy) + network_operations(rows, policy)
    regression = up + inner + up
    with_diversity = up + to_action + to_action + up
    return actor + to_action + critics * (2 * up + (with_diversity if diversity else regression))


def ensemble_step_operations(*, members: int, rows: int, sizes: Sequence[int]) -> int:
    """One training step of every member on rows of its own."""
    return members * training_operations(rows, sizes)


def rollout_operations(*, transitions: int, policy: Sequence[int], model: Sequence[int]) -> int:
    """A policy's action and one member's prediction for each transition."""
    return network_operations(transitions, policy) + network_operations(transitions, model)


def gather_bytes(*, rows: int, row_bytes: int) -> int:
    """Rows taken out of a buffer: each byte read once and written once."""
    return 2 * rows * row_bytes
