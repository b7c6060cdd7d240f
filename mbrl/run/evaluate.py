"""Returns of policies in the real environment."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import child_seed
from mbrl.core.types import EnvSpec, Policy
from mbrl.run.envs import make_env

DEFAULT_CAP = 1000
"""Step cap for environments without a time limit of their own."""
FEW_ROWS = 64
"""Rows up to which a policy acts on one thread: sharing so little out costs more than it brings, and where other
processes run, each share would wait for its turn."""


class Evaluation(NamedTuple):
    """returns [S, episodes] float64, undiscounted; lengths [S, episodes] int64."""

    returns: Tensor
    lengths: Tensor


@runtime_checkable
class Episodic(Protocol):
    """A policy with a memory, such as of the time passed."""

    def reset(self) -> None:
        """Called once before the first step of every (batch of) episodes."""


class Stepper(Protocol):
    """Environments that were reset, stepped together."""

    def step(self, rows: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of environments `rows` [n] by action [n, A] in [-1, 1]: obs [n, O], reward [n], ended [n] bool.

        Of several agents they are [n, N, A] and [n, N, O]. A time limit need not end them: the evaluation stops
        there.
        """


Together = Callable[[Sequence[gymnasium.Env]], Stepper | None]
"""Environments of one kind, with actions on their own scale, as one; None where that cannot be had."""


class OneByOne:
    """Each environment's own step, one after the other."""

    def __init__(self, envs: Sequence[gymnasium.Env]) -> None:
        """envs: they take actions in [-1, 1]."""
        self.envs = envs

    def step(self, rows: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As Stepper has it; time limits of wrappers count."""
        steps = [self.envs[i].step(a) for i, a in zip(rows, action, strict=True)]
        obs, reward, terminated, truncated, _ = (list(parts) for parts in zip(*steps, strict=True))
        return np.stack(obs), np.array(reward, dtype=np.float64), np.array(terminated) | np.array(truncated)


class Evaluator:
    """S x episodes environments, made once and used for every evaluation of a run.

    They advance side by side with one `policy.act` a step. Finished ones are left standing: no step is
    spent on them and no second episode can leak in, which a vector environment with autoreset cannot offer.
    """

    def __init__(
        self,
        env: EnvSpec,
        *,
        seeds: Sequence[int],
        episodes: int = 10,
        max_steps: int | None = None,
        together: Together | None = None,
    ) -> None:
        """max_steps: cap on an episode's length besides the environment's own. together: steps the environments as
        one, if it can, with the numbers of their own steps; else, and by default, one after the other.

        Raises ConfigError for an environment that cannot be used (see `make_env`) or no episodes.
        """
        if episodes < 1 or not seeds:
            raise ConfigError(f"evaluation needs a seed and an episode, got {list(seeds)} and {episodes}")
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps is at least 1, got {max_steps}")
        self.seeds, self.episodes = tuple(seeds), episodes
        self.envs = [make_env(env) for _ in range(len(self.seeds) * episodes)]
        limits = [n for n in (max_steps, self.envs[0].spec.max_episode_steps) if n]
        self.cap = min(limits, default=DEFAULT_CAP)
        stepper = None if together is None else together([e.env for e in self.envs])
        self.stepper: Stepper = stepper or OneByOne(self.envs)

    def __call__(self, policy: Policy, *, index: int = 0) -> Evaluation:
        """One episode in every environment, with the deterministic policy.

        policy.act sees obs [S, episodes, O], of several agents [S, episodes, N, O], float32 on the policy's device
        (`policy.device`, else the CPU).
        Start states depend on (seed, episode, index) alone: a run passes its update count as `index` to get
        fresh ones each time. Raises DivergenceError, naming the members, for actions that are not finite.
        """
        obs = np.stack([e.reset(seed=s)[0] for e, s in zip(self.envs, self._reset_seeds(index), strict=True)])
        obs = obs.astype(np.float32)
        returns, lengths = np.zeros(len(self.envs)), np.zeros(len(self.envs), dtype=np.int64)
        alive = np.arange(len(self.envs))
        if isinstance(policy, Episodic):
            policy.reset()
        with _threads_for(len(self.envs)):
            for step in range(self.cap):
                action = self._act(policy, obs, alive, step)
                obs[alive], reward, ended = self.stepper.step(alive, action[alive])
                returns[alive] += reward
                lengths[alive] += 1
                alive = alive[~ended]
                if not alive.size:
                    break
        shape = (len(self.seeds), self.episodes)
        return Evaluation(torch.from_numpy(returns).view(shape), torch.from_numpy(lengths).view(shape))

    def close(self) -> None:
        """Release the environments."""
        for env in self.envs:
            env.close()

    def _reset_seeds(self, index: int) -> list[int]:
        # 31 bits, since some environments seed old generators that take no more.
        names = [(seed, str(episode)) for seed in self.seeds for episode in range(self.episodes)]
        return [child_seed(seed, "evaluate", str(index), episode) % 2**31 for seed, episode in names]

    def _act(self, policy: Policy, obs: np.ndarray, alive: np.ndarray, step: int) -> np.ndarray:
        batch = torch.tensor(obs).view(len(self.seeds), self.episodes, *obs.shape[1:])
        with torch.no_grad():
            action = policy.act(batch.to(getattr(policy, "device", "cpu")))
        action = action.flatten(0, 1).cpu().numpy()
        bad = alive[~np.isfinite(action[alive]).reshape(len(alive), -1).all(-1)]
        if bad.size:
            lost: dict[int, str] = {}
            for i in bad.tolist():
                lost.setdefault(i // self.episodes, self._diagnosis(i, action[i], step))
            raise DivergenceError("; ".join(lost.values()), members=lost)
        return action

    def _diagnosis(self, i: int, action: np.ndarray, step: int) -> str:
        return (
            f"the policy of seed {self.seeds[i // self.episodes]} gave the action {action} "
            f"at step {step} of evaluation episode {i % self.episodes}: its network has diverged"
        )


def evaluate(
    policy: Policy,
    env: EnvSpec,
    *,
    seeds: Sequence[int],
    episodes: int = 10,
    max_steps: int | None = None,
    index: int = 0,
    together: Together | None = None,
) -> Evaluation:
    """One evaluation with environments of its own; arguments and errors as in `Evaluator`."""
    evaluator = Evaluator(env, seeds=seeds, episodes=episodes, max_steps=max_steps, together=together)
    try:
        return evaluator(policy, index=index)
    finally:
        evaluator.close()


@contextmanager
def _threads_for(rows: int) -> Iterator[None]:
    """One thread of torch for a few rows, else as many as there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if rows <= FEW_ROWS else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
