"""Sources of synthetic experience: anything with draw(policy, n, streams)."""

from dataclasses import replace

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Penalty, Policy, Transitions, ValueOracle
from mbrl.run.penalty_meter import PenaltyMeter
from mbrl.run.rollout import no_penalty, rollout


class ModelRollouts:
    """Truncated rollouts in a model from states of the dataset (MBPO offline; Yu et al. 2020).

    data: flat rows [B, ...] on the device the policy computes on; their obs (and sim_state) are the starts.
    Raises ConfigError for a horizon below 1.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        data: Transitions,
        *,
        horizon: int = 5,
        penalty: Penalty = no_penalty,
        drop_last: bool = False,
        keep_state: bool = False,
        oracle: ValueOracle | None = None,
    ) -> None:
        """drop_last: the last step's rows are void, so that nothing is bootstrapped from their successors. The
        steps before then end at states that step k would have updated: the edge moves in by one, to what a
        horizon of k - 1 has. keep_state: rows carry the simulator's state (for oracles and diagnostics).
        oracle: records the policy's value at the successors of the last step as `next_value`.
        """
        if horizon < 1:
            raise ConfigError(f"horizon={horizon}: a rollout has at least 1 step")
        if drop_last and horizon < 2:
            raise ConfigError(
                "horizon=1 with the last step dropped leaves no rows; take horizon of 2 or more"
            )
        self.dynamics, self.data, self.horizon, self.penalty = dynamics, data, horizon, penalty
        self.drop_last, self.keep_state, self.oracle = drop_last, keep_state, oracle
        self.penalised: dict[str, Tensor] = {}

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """n rollouts a seed: rows [S, n * horizon, ...] and which of them are alive [S, n * horizon]."""
        starts = self.data[streams.randint(len(self.data), n)]
        meter = None if self.penalty is no_penalty else PenaltyMeter(self.penalty)
        penalty, keep = meter or no_penalty, self.keep_state
        rows, alive = rollout(self.dynamics, policy, starts, self.horizon, streams, penalty, keep_state=keep)
        if self.drop_last:
            alive = alive & (rows.step < self.horizon)
        if meter is not None:
            self.penalised = meter.metrics(alive)
        return (rows if self.oracle is None else self._valued(rows, alive, policy, streams)), alive

    def metrics(self) -> dict[str, Tensor]:
        """What the penalty did to the latest draw, [S] each (see PenaltyMeter); nothing without a penalty."""
        return self.penalised

    def _valued(self, rows: Transitions, alive: Tensor, policy: Policy, streams: Streams) -> Transitions:
        """The rows with the oracle's value at the last step's successors, NaN elsewhere."""
        last = slice(-(rows.reward.shape[-1] // self.horizon), None)
        edge = rows[:, last]
        where = alive[:, last] & ~edge.terminal
        value = self.oracle.value(policy, edge, where, streams)
        known = torch.full_like(rows.reward, torch.nan)
        known[:, last] = torch.where(where, value.to(known.dtype), torch.nan)
        return replace(rows, next_value=known)
