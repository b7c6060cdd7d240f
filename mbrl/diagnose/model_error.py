"""The learned model against the true dynamics along the policy's rollouts, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.errors import MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Policy, Transitions
from mbrl.diagnose.depths import Depths, locate
from mbrl.diagnose.figure import Figure, by_step, over
from mbrl.run.rollout import rollout


@dataclass(frozen=True)
class OneStepError:
    """Figures at rollout steps 1..k, [S, k] (see `one_step_error`).

    next_obs: root mean square over observation entries of (model - true) / scale; reward: |model - true|;
    reward_bias: model - true; terminal: share of rows where one ends and the other does not.
    left_out [S, k]: alive rows whose simulator state is not known.
    """

    next_obs: Figure
    reward: Figure
    reward_bias: Figure
    terminal: Figure
    left_out: Tensor


@torch.no_grad()
def one_step_error(
    truth: Dynamics, depths: Depths, scale: Tensor, horizon: int, seeds: Sequence[int]
) -> OneStepError:
    """The model's samples at steps 1..horizon against one true step from the same state and action.

    scale [O]: the data's standard deviations. Rows whose state `truth` cannot be put into are left out and
    counted. A model that is right up to Gaussian noise has the size of that noise, not 0.
    """
    found: dict[str, list[Tensor]] = {"next_obs": [], "reward": [], "reward_bias": [], "terminal": []}
    masks, left_out = [], []
    for step in range(1, horizon + 1):
        rows, known = locate(truth, depths.rows[step - 1], depths.alive[step - 1])
        if bool(known.any()):
            errors = _errors(truth, rows, scale, Streams(seeds, f"audit.true_step.{step}", rows.obs.device))
        else:
            errors = dict.fromkeys(found, torch.full_like(rows.reward, torch.nan))
        for name, x in errors.items():
            found[name].append(x)
        masks.append(known)
        left_out.append((depths.alive[step - 1] & ~known).sum(-1))
    figures = {name: over(x, masks) for name, x in found.items()}
    return OneStepError(**figures, left_out=torch.stack(left_out, dim=-1))


def _errors(truth: Dynamics, rows: Transitions, scale: Tensor, streams: Streams) -> dict[str, Tensor]:
    carry = truth.begin(rows.obs, rows.sim_state)
    true = truth.step(carry, rows.obs, rows.action, streams)
    difference = (rows.next_obs - true.next_obs).double() / scale
    reward = (rows.reward - true.reward).double()
    return {
        "next_obs": difference.square().mean(dim=-1).sqrt(),
        "reward": reward.abs(),
        "reward_bias": reward,
        "terminal": (rows.terminal != true.terminal).double(),
    }


@dataclass(frozen=True)
class PairedRewards:
    """Figures at steps 1..k, [S, k], of rollouts from the same starts in the model and in truth.

    model, true: mean reward of the rollouts alive there; difference: model - true over pairs alive in both;
    model_alive, true_alive: the share alive. left_out [S]: starts whose simulator state is not known.
    """

    model: Figure
    true: Figure
    difference: Figure
    model_alive: Figure
    true_alive: Figure
    left_out: Tensor


@torch.no_grad()
def paired_rewards(
    dynamics: Dynamics,
    truth: Dynamics,
    policy: Policy,
    starts: Transitions,
    horizon: int,
    seeds: Sequence[int],
) -> PairedRewards:
    """What the policy earns per step in the model, and in truth, from starts [S, n, ...].

    Both follow the policy closed-loop with the same action noise, so that they differ by the dynamics alone.
    States drift apart with the step: this is the error that the policy's own returns in the model have. Starts
    whose state `truth` cannot be put into are left out and counted; raises MismatchError if that is all of them.
    """
    everywhere = torch.ones(starts.reward.shape, dtype=torch.bool, device=starts.reward.device)
    starts, known = locate(truth, starts, everywhere)
    if not bool(known.any()):
        raise MismatchError("no start has a simulator state, or an observation that one can be computed from")
    pair = []
    for model in (dynamics, truth):
        streams = Streams(seeds, "audit.paired.model", starts.obs.device)
        same_noise = _OwnNoise(policy, Streams(seeds, "audit.paired.policy", starts.obs.device))
        pair.append(rollout(model, same_noise, starts, horizon, streams))
    (model, model_alive), (true, true_alive) = pair
    chosen = known.repeat(1, horizon)
    shares = [by_step(a.double(), chosen, model.step, horizon) for a in (model_alive, true_alive)]
    return PairedRewards(
        model=by_step(model.reward, model_alive & chosen, model.step, horizon),
        true=by_step(true.reward, true_alive & chosen, model.step, horizon),
        difference=by_step(
            model.reward.double() - true.reward, model_alive & true_alive & chosen, model.step, horizon
        ),
        model_alive=shares[0],
        true_alive=shares[1],
        left_out=(~known).sum(-1),
    )


class _OwnNoise:
    """The policy with action noise of its own, whatever else is drawn in a rollout."""

    def __init__(self, policy: Policy, streams: Streams) -> None:
        self.policy, self.streams = policy, streams

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        return self.policy.act(obs, self.streams)
