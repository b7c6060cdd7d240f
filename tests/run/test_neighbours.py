"""What one member's policy has become never reaches the numbers of the others, in whatever model they roll out."""

import pytest
import torch

from mbrl.agents import SAC
from mbrl.core.seeds import Streams
from mbrl.core.types import Tracing
from mbrl.datasets import load
from mbrl.dynamics import Ensemble, Interpolated, TrueDynamics
from mbrl.dynamics.monte_carlo import MonteCarloOracle
from mbrl.run.rollout import rollout

SEEDS, LEFT = (4, 0, 7), [0, 2]
DATA = load("sample", verbose=False)


def ensemble():
    """One for all members."""
    return Ensemble(DATA.obs_dim, DATA.action_dim, hidden=(16, 16), weight_decay=(0.0, 0.0, 0.0))


MODELS = {
    "ensemble": ensemble,
    "truth": lambda: TrueDynamics(DATA.env, threads=1),
    "interpolated": lambda: Interpolated(ensemble(), TrueDynamics(DATA.env, threads=1), 0.5),
}


@torch.no_grad()
def agent(broken):
    made = SAC(DATA.obs_dim, DATA.action_dim, seeds=SEEDS, hidden=(8, 8))
    if broken:
        made.actor_parameters[0][1] = torch.nan
    return made


def drawn(model, broken):
    """Every number of a rollout that a member sees, its random state included."""
    streams = Streams(SEEDS, "x")
    starts, policy = DATA.transitions[streams.randint(len(DATA), 200)], agent(broken)
    options = {"keep_state": isinstance(model, Tracing)}
    rows, alive = rollout(
        model, policy, starts, 4, streams, lambda r, t, p: (r - p.std.sum((1, 3)), t), **options
    )
    found = [rows.obs, rows.action, rows.reward, rows.next_obs, rows.terminal, alive, streams.randn(3)]
    if options["keep_state"]:
        oracle = MonteCarloOracle(TrueDynamics(DATA.env, threads=1), horizon=30)
        found.append(oracle.value(policy, rows, alive & ~rows.terminal, streams))
    return found, alive


@pytest.mark.parametrize("name", MODELS)
def test_a_policy_that_is_not_finite_leaves_the_others_rollouts_as_they_are(name):
    sound, _ = drawn(MODELS[name](), False)
    beside, alive = drawn(MODELS[name](), True)
    for a, b in zip(sound, beside, strict=True):
        assert torch.equal(a[LEFT], b[LEFT])
    assert not alive[1].any()
    assert alive[LEFT].any(dim=-1).all()
