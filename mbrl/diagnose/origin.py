"""Where the overestimate at data states comes from: the edge, the model's error, or the updates within reach."""

from dataclasses import dataclass

import torch

from mbrl.diagnose.depths import Depths
from mbrl.diagnose.figure import Figure, over
from mbrl.diagnose.value_bias import ValueBias


@dataclass(frozen=True)
class Origin:
    """total = edge + model + within, and gain = edge - gamma^k total (see `origin`): one place each, [S, 1]."""

    total: Figure
    edge: Figure
    model: Figure
    within: Figure
    gain: Figure


def origin(bias: ValueBias, depths: Depths, gamma: float, *, exact_model: bool) -> Origin:
    """Split the overestimate at data states by telescoping the Bellman equation over k on-policy steps.

    With Q = min_i Q_i, G the soft return in truth, and the residual at a state that updates see,
    delta_t = Q(s_t, a_t) - [r_t + gamma V(s_t+1)], a rollout of the true dynamics has in expectation
        Q(s_0) - G(s_0) = sum_{t<k} gamma^t delta_t + gamma^k [Q(s_k) - G(s_k)].
    A rollout in a model adds what k steps in the model, with true returns from there on, are worth more than
    true returns throughout. So, a rollout each (one that ended before depth k has no edge),
        edge   = gamma^k [Q(s_k) - G(s_k)], what targets pass on,
        model  = sum_{t<k} gamma^t r_t + gamma^k G(s_k) - G(s_0), with plain returns; 0 with exact_model,
        within = the rest: residuals at states within reach.
    An offset shared by all states passes itself on from edge to data for ever, so `edge` alone shows no origin.
    What keeps it up is (1 - gamma^k) total = gain + model + within, where gain = edge - gamma^k total says how
    much more states at the edge are overestimated than those at the data. Only rollouts whose states are known
    count.
    """
    k, found, known = depths.horizon, bias.per_row, bias.known
    total, last = (found["q_min"][d] - found["soft"][d] for d in (0, k))
    arrived = depths.alive[k]
    edge = gamma**k * torch.where(arrived, last, 0.0)
    model = torch.zeros_like(edge)
    if not exact_model:
        steps = zip(depths.rows[:k], depths.alive[:k], strict=True)
        earned = [
            gamma**t * torch.where(alive, rows.reward.double(), 0.0) for t, (rows, alive) in enumerate(steps)
        ]
        model = sum(earned, gamma**k * torch.where(arrived, found["plain"][k], 0.0)) - found["plain"][0]
    chosen = known[0] & (known[k] | ~arrived)
    parts = (total, edge, model, total - edge - model, edge - gamma**k * total)
    return Origin(*(over([x], [chosen]) for x in parts))
