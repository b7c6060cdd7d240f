"""Overestimate: what Q promises, minus what the policy really collects from the same state and action."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Transitions, ValuedPolicy
from mbrl.diagnose.depths import Depths, locate
from mbrl.diagnose.figure import Figure, over
from mbrl.dynamics.monte_carlo import discounted_return


@dataclass(frozen=True)
class ValueBias:
    """Figures over depths 0..k, [S, k + 1] each (see `value_bias`).

    value: "soft" and "plain", the true returns. overestimate: "min_soft", "mean_soft", "min_plain", "mean_plain",
    the smallest or mean Q over critics, minus the soft or the plain return. left_out [S, k + 1]: alive rows
    whose simulator state is not known. reached [S, k + 1]: share of the rollouts that are alive there.
    truncation: the horizon leaves out at most this much of any return, given the largest |reward| seen.
    per_row: what the figures are means of, by name ("soft", "plain", "q_min", "q_mean"), [S, n] a depth, and
    known, [S, n] bool a depth, which rows count.
    """

    value: dict[str, Figure]
    overestimate: dict[str, Figure]
    left_out: Tensor
    reached: Tensor
    truncation: float
    per_row: dict[str, list[Tensor]]
    known: list[Tensor]


def value_bias(
    agent: ValuedPolicy,
    truth: Dynamics,
    depths: Depths,
    seeds: Sequence[int],
    *,
    horizon: int = 300,
    tick: Callable[[], object] = lambda: None,
) -> ValueBias:
    """Q_i(s, a) against the return of the current policy in `truth` from the same (s, a), by depth.

    The return takes the row's sampled action, then follows the sampling policy for at most `horizon` steps. Soft
    values count the entropy bonus of every action but the first, as the Q of a SoftPolicy does, so an exact
    soft Q has no bias; plain ones count rewards alone. Both come from the same trajectories, one a row. Rows
    whose state `truth` cannot be put into are left out and counted. tick: called 2 (k + 1) times.
    """
    columns: dict[str, list[Tensor]] = {}
    masks, left_out, largest = [], [], 0.0
    for depth, (rows, alive) in enumerate(zip(depths.rows, depths.alive, strict=True)):
        rows, known = locate(truth, rows, alive)
        q = agent.q_values(rows.obs, rows.action).double()
        found = {"q_min": q.amin(dim=-2), "q_mean": q.mean(dim=-2)}
        for name, soft in (("plain", False), ("soft", True)):
            # The same streams twice: the same noise, hence the same trajectories.
            streams = Streams(seeds, f"audit.return.{depth}", rows.obs.device)
            found[name] = _returns(agent, truth, rows, known, streams, horizon=horizon, soft=soft)
            tick()
        for name, x in found.items():
            columns.setdefault(name, []).append(x)
        masks.append(known)
        left_out.append((alive & ~known).sum(-1))
        largest = max(largest, float(rows.reward.abs().max()))
    return ValueBias(
        value={name: over(columns[name], masks) for name in ("soft", "plain")},
        overestimate={
            f"{which}_{kind}": over(
                [q - v for q, v in zip(columns[f"q_{which}"], columns[kind], strict=True)], masks
            )
            for which in ("min", "mean")
            for kind in ("soft", "plain")
        },
        left_out=torch.stack(left_out, dim=-1),
        reached=torch.stack([alive.double().mean(-1) for alive in depths.alive], dim=-1),
        truncation=truncation_bound(agent.gamma, horizon, largest),
        per_row=columns,
        known=masks,
    )


def truncation_bound(gamma: float, horizon: int, largest: float) -> float:
    """gamma^H / (1 - gamma) * max |r|: what steps after the H-th can add to a discounted return."""
    return gamma**horizon / (1 - gamma) * largest


def _returns(
    agent: ValuedPolicy,
    truth: Dynamics,
    rows: Transitions,
    known: Tensor,
    streams: Streams,
    *,
    horizon: int,
    soft: bool,
) -> Tensor:
    if not bool(known.any()):
        return torch.full(known.shape, torch.nan, dtype=torch.float64, device=known.device)
    return discounted_return(
        truth,
        agent,
        rows.obs,
        rows.sim_state,
        streams,
        gamma=agent.gamma,
        horizon=horizon,
        first_action=rows.action,
        soft=soft,
    )
