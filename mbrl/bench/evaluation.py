"""Evaluation in the real environment: steps per second, and the share of a run's time at default settings."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from mbrl.bench.case import NAIVE, Candidate, Case, Clock, Floor, Plan, Row
from mbrl.bench.measure import clock, measure, rows
from mbrl.bench.naive_ensemble import numpy_policy
from mbrl.bench.naive_loop import naive_evaluation
from mbrl.bench.naive_sac import NaivePolicy
from mbrl.bench.setup import Setup
from mbrl.bench.simulator import raw_rollouts, visited
from mbrl.conf import compose
from mbrl.core.accelerate import accelerate
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.envs import make_env
from mbrl.run.evaluate import Evaluator
from mbrl.run.rollout import rollout

ENV = EnvSpec("HalfCheetah-v5")
"""Never ends before its time, so every evaluation takes the same number of steps."""


def plans(setup: Setup) -> list[Plan]:
    """One case a stack of seeds."""
    return [
        Plan(f"evaluation/S{seeds}", partial(run, setup, seeds), setup.rounds + 1)
        for seeds in setup.sizes.stacks
    ]


def run(setup: Setup, seeds: int, tick: Callable[[], object]) -> list[Row]:
    """Ours and, for one seed, episodes one after the other. The floor: MuJoCo alone, on all threads.

    Timed beside them, for the share: an update and a refresh of the synthetic rows, in the default mode.
    """
    with ExitStack() as stack:
        case = build(setup, seeds, stack)
        others = {"update": update_clock(setup, seeds), "refresh": refresh_clock(setup, seeds)}
        options = {"rounds": setup.rounds, "at_least": setup.sizes.at_least, "tick": tick}
        timings = measure(case, others, **options)
    found = rows(case, timings, setup.device)
    every = compose([]).train.eval_every
    parts = timings["update"].median * every, timings["refresh"].median
    found[0] |= {"share": share(timings[found[0]["mode"]].median, *parts)}
    return found


def share(evaluation: float, updates: float, refresh: float) -> float:
    """Evaluation's part of the time between two evaluations."""
    return evaluation / (evaluation + updates + refresh)


def build(setup: Setup, seeds: int, stack: ExitStack) -> Case:
    """All episodes of an evaluation at default settings."""
    sizes = setup.sizes
    agent = setup.agent(seeds, critics=1, eta=0)
    evaluator = evaluator_for(setup, seeds, sizes.episode_steps)
    stack.callback(evaluator.close)
    count = seeds * sizes.episodes * sizes.episode_steps
    floor = simulation(setup, seeds * sizes.episodes, count)
    candidates = [Candidate("eager", clock(lambda: evaluator(agent), setup.device), floor)]
    if seeds == 1:
        env = make_env(ENV)
        stack.callback(env.close)
        policy = numpy_policy(NaivePolicy(agent.actor.net, 0).mode, setup.device)
        play = partial(naive_evaluation, env, policy, sizes.episodes, sizes.episode_steps)
        candidates.append(Candidate(NAIVE, clock(play, setup.device), floor))
    return Case(f"evaluation/S{seeds}", candidates, count, "step", {"seeds": seeds})


def evaluator_for(setup: Setup, seeds: int, steps: int) -> Evaluator:
    """As a run makes it, but for its threads; episodes of at most `steps`."""
    together = partial(side_by_side, threads=setup.threads)
    options = {"episodes": setup.sizes.episodes, "max_steps": steps, "together": together}
    return Evaluator(ENV, seeds=range(seeds), **options)


def simulation(setup: Setup, episodes: int, steps: int) -> Floor:
    """The simulator's part of `steps` environment steps in so many environments."""
    env = make_env(ENV)
    floor = raw_rollouts(env, *visited(ENV, episodes), setup.threads)
    env.close()
    return Floor(floor.kind, steps, floor.probe, floor.probe_amount)


def update_clock(setup: Setup, seeds: int) -> Clock:
    """Updates of the default agent in the default mode."""
    agent, streams = setup.agent(seeds), setup.streams(seeds)
    batch = setup.rows(seeds, setup.sizes.batch_size)
    run = accelerate(lambda drawn: agent.update(batch, drawn), streams, agent=agent)
    return clock(run, setup.device)


def refresh_clock(setup: Setup, seeds: int) -> Clock:
    """Rollouts of one refresh at default settings."""
    sizes, model = setup.sizes, setup.ensemble()
    agent, streams = setup.agent(seeds, critics=1, eta=0), setup.streams(seeds)
    starts = setup.rows(seeds, sizes.starts)
    return clock(lambda: rollout(model, agent, starts, sizes.horizon, streams), setup.device)
