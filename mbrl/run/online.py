"""Online learning in a real environment, kept as a source of offline data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mbrl.core.checkpoint import flatten, unflatten
from mbrl.core.errors import ConfigError
from mbrl.core.progress import progress
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, EnvSpec, Policy
from mbrl.run.behaviour import Uniform, device_of
from mbrl.run.evaluate import Evaluator
from mbrl.run.replay import Replay


@dataclass(frozen=True)
class Snapshot:
    """A learner on its way: environment steps taken, mean return of its deterministic policy, its state."""

    step: int
    mean_return: float
    state: dict[str, Any]


@dataclass(frozen=True)
class OnlineRun:
    """What online learning leaves behind; random_return: mean return of uniform actions."""

    agent: Agent
    replay: Replay
    snapshots: list[Snapshot]
    random_return: float

    def at(self, step: int) -> Snapshot:
        """The snapshot taken at `step`; raises ConfigError if there is none."""
        found = [s for s in self.snapshots if s.step == step]
        if not found:
            raise ConfigError(f"no snapshot at step {step}; there are {[s.step for s in self.snapshots]}")
        return found[0]

    def reaching(self, fraction: float) -> Snapshot:
        """The first snapshot with `fraction` of the final policy's gain over random actions.

        Raises ConfigError for a fraction outside (0, 1], or if the final policy is no better than random.
        """
        if not 0 < fraction <= 1:
            raise ConfigError(f"medium fraction {fraction}: a share of the final gain lies between 0 and 1")
        final = self.snapshots[-1].mean_return
        if not final > self.random_return:
            raise ConfigError(
                f"the final policy returns {final:.1f}, random actions {self.random_return:.1f}: nothing was "
                "learned, so no policy is half-way; train longer, or choose it by its step"
            )
        bar = self.random_return + fraction * (final - self.random_return)
        return next(s for s in self.snapshots if s.mean_return >= bar)


def train_online(
    agent: Agent,
    env: EnvSpec,
    *,
    steps: int,
    seed: int = 0,
    warmup: int = 1000,
    batch_size: int = 256,
    updates_per_step: float = 1.0,
    snapshots: int = 20,
    snapshots_at: Sequence[int] = (),
    episodes: int = 5,
    show: bool = True,
) -> OnlineRun:
    """Act, keep, update, from an empty replay that forgets nothing.

    agent: a stack of one seed. steps: environment steps; the first `warmup` take uniform actions and no
    update, each later one is followed by updates_per_step updates on average. snapshots: states kept at
    even distances, besides those at `snapshots_at`, each evaluated over `episodes` episodes.
    Raises ConfigError for impossible counts, DivergenceError for an action that is not finite.
    """
    even = [round(steps * i / snapshots) for i in range(1, snapshots + 1)]
    # An untrained policy is no stage of learning, so none is kept before the first update.
    marks = {*snapshots_at, *(step for step in even if step > warmup)}
    if not (
        0 <= warmup < steps and updates_per_step > 0 and batch_size > 0 and max(marks, default=0) == steps
    ):
        raise ConfigError(
            f"steps={steps}, warmup={warmup}, updates_per_step={updates_per_step}, batch_size={batch_size}, "
            f"snapshots={snapshots}, at {list(snapshots_at)}: all but warmup are positive, and at most steps"
        )
    replay = Replay(env, steps, seed=seed, purpose="collect.train")
    device = device_of(agent)
    acting, learning = (Streams([seed], f"collect.{name}", device) for name in ("act", "learn"))
    sampling = Streams([seed], "collect.sample")
    uniform = Uniform(replay.rows["action"].shape[-1], Streams([seed], "collect.uniform"))
    evaluator = Evaluator(env, seeds=[seed], episodes=episodes)
    random_return = evaluator(uniform).returns.mean().item()
    kept: list[Snapshot] = []
    updates = 0
    with progress(steps, f"online learning in {env.id}", enabled=show) as bar:
        for step in range(1, steps + 1):
            replay.step(choose(uniform, replay.obs) if step <= warmup else choose(agent, replay.obs, acting))
            while updates < (step - warmup) * updates_per_step:
                agent.update(replay.sample(batch_size, sampling).to(device), learning)
                updates += 1
            bar.update()
            if step in marks:
                kept.append(_snapshot(agent, step, evaluator))
                bar.set_postfix({"return": f"{kept[-1].mean_return:.1f}"}, refresh=False)
    evaluator.close()
    return OnlineRun(agent, replay, kept, random_return)


def choose(policy: Policy, obs: np.ndarray, streams: Streams | None = None) -> np.ndarray:
    """Action [A] for one observation [O]; of several agents [N, A] for [N, O]."""
    batch = torch.from_numpy(obs).view(1, 1, *obs.shape).to(device_of(policy))
    with torch.no_grad():
        return policy.act(batch, streams)[0, 0].cpu().numpy()


def _snapshot(agent: Agent, step: int, evaluator: Evaluator) -> Snapshot:
    state = unflatten({name: value.clone() for name, value in flatten(agent.state_dict()).items()})
    return Snapshot(step, evaluator(agent, index=step).returns.mean().item(), state)
