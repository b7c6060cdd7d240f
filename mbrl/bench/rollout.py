"""Rollouts of a policy in the learned model: transitions per second from the starts of a refresh."""

import copy

import numpy as np

from mbrl.bench.case import NAIVE, Candidate, Case, Floor, Plan
from mbrl.bench.measure import clock
from mbrl.bench.modes import EXACT, Mode, at
from mbrl.bench.naive_ensemble import NaiveEnsemble, naive_rollout, numpy_policy
from mbrl.bench.naive_sac import NaivePolicy
from mbrl.bench.probes import products
from mbrl.bench.setup import Setup
from mbrl.bench.work import rollout_operations
from mbrl.core.precision import lower_products
from mbrl.run.rollout import rollout


def plans(setup: Setup) -> list[Plan]:
    """One case."""
    return [setup.timed("rollout/learned", lambda stack: build(setup))]


def build(setup: Setup) -> Case:
    """Ours in every precision, and naive rollouts."""
    sizes, device = setup.sizes, setup.device
    steps = sizes.rollout_steps
    count = sizes.starts * steps
    model, agent = setup.ensemble(), setup.agent(critics=1, eta=0)
    starts, streams = setup.rows(1, sizes.starts), setup.streams()
    naive, rng = NaiveEnsemble(model), np.random.default_rng(0)
    policy = numpy_policy(NaivePolicy(agent.actor.net, 0).to(device).act, device)
    plain = starts.obs[0].cpu().numpy()

    def floor(precision: str) -> Floor:
        shape = (sizes.elites, sizes.starts // sizes.elites, *sizes.model_hidden[:2])
        return products(transition_operations(setup, count), shape, device, precision)

    def ours(precision: str) -> Candidate:
        own = copy.deepcopy(model)
        lower_products(own, precision)
        run = clock(lambda: rollout(own, agent, starts, steps, streams), device)
        return Candidate(Mode("eager", precision).label, at(precision, device, run), floor(precision))

    def published() -> None:
        naive_rollout(naive, policy, plain, steps, rng)

    candidates = [ours(precision) for precision in dict.fromkeys(mode.precision for mode in setup.modes)]
    candidates.append(Candidate(NAIVE, clock(published, device), floor(EXACT)))
    settings = {"seeds": 1, "starts": sizes.starts, "horizon": steps}
    return Case(
        "rollout/learned", candidates, items=count, unit="transition", settings=settings, counted=True
    )


def transition_operations(setup: Setup, count: int) -> int:
    """Operations of `count` transitions at these sizes."""
    sizes = setup.sizes
    return rollout_operations(
        transitions=count,
        policy=(sizes.obs_dim, *sizes.hidden, 2 * sizes.action_dim),
        model=(sizes.obs_dim + sizes.action_dim, *sizes.model_hidden, 2 * (sizes.obs_dim + 1)),
    )
