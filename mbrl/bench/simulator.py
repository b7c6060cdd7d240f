"""The true dynamics: one environment step from many states, against MuJoCo itself and a loop over environments."""

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout

from mbrl.bench.case import NAIVE, Candidate, Case, Floor, Plan
from mbrl.bench.measure import clock
from mbrl.bench.setup import Setup
from mbrl.core.types import EnvSpec
from mbrl.dynamics import TrueDynamics
from mbrl.run.envs import make_env, set_sim_state, sim_state

ENVS = ("HalfCheetah-v5", "Hopper-v5")


def plans(setup: Setup) -> list[Plan]:
    """One case an environment."""
    return [
        setup.timed(f"simulator/{name}", lambda stack, name=name: build(setup, EnvSpec(name)))
        for name in ENVS
    ]


def build(setup: Setup, spec: EnvSpec) -> Case:
    """Ours, on all threads; one environment that is put into each state and stepped; the floor is MuJoCo alone."""
    truth = TrueDynamics(spec, threads=setup.threads, device=setup.device)
    env = make_env(spec)
    states, native = visited(spec, setup.sizes.states)
    env.reset(seed=0)
    action = torch.from_numpy(native).unsqueeze(0).to(setup.device)
    carry = truth.at(states[None])
    streams, floor = setup.streams(), raw_rollouts(env, states, native, setup.threads)

    def loop() -> None:
        for state, control in zip(states, native, strict=True):
            set_sim_state(env, state)
            env.step(control)

    candidates = [
        Candidate("eager", clock(lambda: truth.step(carry, action, action, streams), setup.device), floor),
        Candidate(NAIVE, clock(loop), floor),
    ]
    settings = {"env": spec.id, "states": len(states), "threads": setup.threads}
    return Case(f"simulator/{spec.id}", candidates, items=len(states), unit="step", settings=settings)


def visited(spec: EnvSpec, count: int) -> tuple[np.ndarray, np.ndarray]:
    """States [count, D] that uniform actions lead through, and the actions [count, A] in [-1, 1] taken there."""
    env, rng = make_env(spec), np.random.default_rng(0)
    states, actions, done = [], [], True
    while len(states) < count:
        if done:
            env.reset(seed=len(states))
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        states.append(sim_state(env))
        actions.append(action)
        done = any(env.step(action)[2:4])
    env.close()
    return np.array(states), np.array(actions)


def raw_rollouts(env: object, states: np.ndarray, actions: np.ndarray, threads: int) -> Floor:
    """mujoco.rollout from the same states with the same controls: nothing but the simulation."""
    raw = env.unwrapped
    model, steps = raw.model, raw.frame_skip
    begin = np.zeros((len(states), 1 + states.shape[1]))
    begin[:, 1:] = states
    high = raw.action_space.high
    control = np.repeat((actions * high)[:, None].astype(np.float64), steps, axis=1)
    data = [mujoco.MjData(model) for _ in range(threads)]
    pool = Rollout(nthread=threads if threads > 1 else 0)
    models = [model] * len(states)
    out = {
        "state": np.empty((len(states), steps, begin.shape[1])),
        "sensordata": np.empty((len(states), steps, model.nsensordata)),
    }
    probe = clock(lambda: pool.rollout(models, data, begin, control, skip_checks=True, nstep=steps, **out))
    return Floor("mujoco.rollout", len(states), probe, len(states))
