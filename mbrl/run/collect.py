"""The usual kinds of offline dataset, made from uniform actions and from an online learner's history."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mbrl.core.errors import ConfigError
from mbrl.core.progress import progress
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, EnvSpec, Policy
from mbrl.datasets.recording import Recording, join
from mbrl.run.behaviour import Divided, Uniform, device_of
from mbrl.run.envs import layout_of, make_env
from mbrl.run.evaluate import Episodic
from mbrl.run.online import OnlineRun, Snapshot, choose, train_online
from mbrl.run.replay import Replay


def record(
    policy: Policy,
    env: EnvSpec,
    steps: int,
    *,
    seed: int,
    behaviour: str,
    dataset_id: str,
    sampled: bool = True,
    split: bool = False,
    show: bool = True,
) -> Recording:
    """`steps` transitions of the policy, episode after episode, the last one cut (and marked timeout).

    sampled: with actions drawn from the policy, else its deterministic ones. split: the policy is that of one agent
    in an environment of several: it sees what the simulator shows one agent, not what its agents could piece
    together, and each of them does its part of the action. Start states and draws depend on (seed, dataset_id).
    Raises DivergenceError for an action that is not finite, ConfigError for an environment that cannot be split.
    """
    replay = Replay(env, steps, seed=seed, purpose=f"collect.{dataset_id}")
    see, share = _divided(replay) if split else (lambda: replay.obs, lambda action: action)
    streams = Streams([seed], f"collect.act.{dataset_id}", device_of(policy)) if sampled else None
    begins = True
    with progress(steps, f"recording {dataset_id}", enabled=show) as bar:
        for _ in range(steps):
            if begins and isinstance(policy, Episodic):
                policy.reset()
            begins = replay.step(share(choose(policy, see(), streams)))
            bar.update()
    replay.close()
    return replay.recording(behaviour, dataset_id)


def _divided(replay: Replay) -> tuple[Callable[[], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """What one agent would see in a team's environment, and how its action is shared out."""
    team = replay.env.unwrapped
    if not isinstance(team, Divided):
        raise ConfigError(
            f"{replay.spec.id}: only environments whose agents share one robot (mamujoco/...) can be moved by a "
            "policy of one agent"
        )
    return lambda: team.global_obs().astype(np.float32), team.split_action


class Collector:
    """One method a kind of dataset, each `steps` transitions long but for the two that are made of others.

    Every kind but `random` needs `learn` first. sampled: record policies with sampled actions (as D4RL
    does), else with deterministic ones. The medium policy is the one at medium_step, or else the first with
    medium_fraction of the final policy's gain over random actions (D4RL, Fu et al. 2020: a third of the
    expert's performance). dims: (O, A); whole: those of the one agent that could move a team's robot, or dims;
    layout: of a team. Raises ConfigError as `make_env` does, or for no steps.
    """

    def __init__(
        self,
        env: EnvSpec,
        steps: int,
        *,
        seed: int = 0,
        sampled: bool = True,
        medium_fraction: float = 1 / 3,
        medium_step: int | None = None,
        space: str = "collected",
        show: bool = True,
    ) -> None:
        if steps < 1:
            raise ConfigError(f"{steps} transitions to record; at least 1 is needed")
        self.env, self.steps, self.seed, self.space = env, steps, seed, space
        made = make_env(env)
        made.close()
        self.layout = layout_of(made)
        self.dims = made.observation_space.shape[-1], made.action_space.shape[-1]
        one = getattr(made.unwrapped, "robot", made)  # mbrl.run.mamujoco
        self.whole = (
            self.dims
            if self.layout is None
            else (one.observation_space.shape[-1], one.action_space.shape[-1])
        )
        self.sampled, self.show = sampled, show
        self.medium_fraction, self.medium_step = medium_fraction, medium_step
        self.run: OnlineRun | None = None
        self.made: dict[str, Recording] = {}

    def learn(self, agent: Agent, **options: Any) -> None:
        """Train the agent online; options and errors as in `train_online`. Raises ConfigError for a team."""
        if self.layout is not None:
            raise ConfigError(
                f"{self.env.id} has {self.layout.agents} agents, and online learning is for one: record policies "
                "of one agent split by joints, a run's own agents, or random actions"
            )
        at = () if self.medium_step is None else (self.medium_step,)
        self.run = train_online(agent, self.env, seed=self.seed, snapshots_at=at, show=self.show, **options)

    def random(self) -> Recording:
        """Uniform actions."""
        uniform = Uniform(self.dims[1], Streams([self.seed], "collect.random"), self.layout)
        return self.following(uniform, "random", "uniform random actions")

    def medium(self) -> Recording:
        """The medium policy."""
        return self._learned("medium", self._half_way())

    def expert(self) -> Recording:
        """The final policy."""
        return self._learned("expert", self._history().snapshots[-1])

    def medium_replay(self) -> Recording:
        """All that was seen in learning until the medium policy was reached, its random beginning included."""
        run, step = self._history(), self._half_way().step
        words = f"the first {step} steps of {type(run.agent).__name__} learning online"
        return run.replay.recording(words, self.id("medium-replay"), rows=step)

    def medium_expert(self) -> Recording:
        """The medium data, then the expert data: half and half, twice as long as either."""
        return join([self.medium(), self.expert()], self.id("medium-expert"))

    def following(self, policy: Policy, kind: str, behaviour: str, *, split: bool = False) -> Recording:
        """Any policy; `behaviour` says in words which. split: as `record` has it."""
        return record(
            policy,
            self.env,
            self.steps,
            seed=self.seed,
            behaviour=behaviour,
            dataset_id=self.id(kind),
            sampled=self.sampled,
            split=split,
            show=self.show,
        )

    def id(self, kind: str) -> str:
        """Name of a dataset in Minari's form: "collected/Hopper-v5/medium-v0"."""
        return f"{self.space}/{self.env.id.rpartition(':')[2]}/{kind}-v0"

    def _learned(self, kind: str, snapshot: Snapshot) -> Recording:
        if kind not in self.made:  # medium-expert shares the rows of medium and expert
            agent = self._history().agent
            agent.load_state_dict(snapshot.state)
            how = "sampled" if self.sampled else "deterministic"
            words = f"{type(agent).__name__} after {snapshot.step} online steps, {how} actions"
            self.made[kind] = self.following(agent, kind, words)
        return self.made[kind]

    def _half_way(self) -> Snapshot:
        run = self._history()
        return run.reaching(self.medium_fraction) if self.medium_step is None else run.at(self.medium_step)

    def _history(self) -> OnlineRun:
        if self.run is None:
            raise ConfigError("this kind of data comes from an online learner: call learn first")
        return self.run


KINDS = {
    "random": Collector.random,
    "medium": Collector.medium,
    "medium-replay": Collector.medium_replay,
    "medium-expert": Collector.medium_expert,
    "expert": Collector.expert,
}
