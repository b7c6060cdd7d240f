"""Behaviours to record data from: policy files and the agents of finished runs."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mbrl.agents.policy_file import load_policy
from mbrl.core.checkpoint import load_tree
from mbrl.core.device import pick_device
from mbrl.core.errors import MismatchError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy
from mbrl.datasets.recording import Recording, join
from mbrl.run.behaviour import Noisy
from mbrl.run.build.agent import agent_from_config
from mbrl.run.build.points import run_config
from mbrl.run.collect import Collector


class Member:
    """One seed of a stack as a policy of its own; its draws come from streams of that seed."""

    def __init__(self, agent: Policy, seeds: Sequence[int], place: int) -> None:
        self.agent, self.place, self.seeds = agent, place, seeds
        self.device = torch.device(getattr(agent, "device", "cpu"))
        self.streams = Streams(list(seeds), "collect.member", self.device)

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [1, B, ...] for obs [1, B, ...]; `streams` says only whether to draw."""
        everyone = obs.expand(len(self.seeds), *obs.shape[1:])
        action = self.agent.act(everyone, None if streams is None else self.streams)
        return action[self.place : self.place + 1]


def policies_recording(
    collector: Collector, paths: Sequence[Path], *, noise: float, name: str | None = None
) -> Recording:
    """Of each policy file the collector's number of rows, one after another, as one dataset.

    In an environment of several agents these are policies of one agent, split by joints. Errors as in `load_policy`
    and `Collector`.
    """
    obs_dim, action_dim = collector.whole
    policies = [Noisy(load_policy(path, obs_dim=obs_dim, action_dim=action_dim), noise) for path in paths]
    whole, split = name or dataset_name(paths), collector.layout is not None
    words = [f"{path.name}, noise {noise}" for path in paths]
    if len(paths) == 1:
        return collector.following(policies[0], whole, words[0], split=split)
    kinds = [
        f"{whole}.{i}" for i in range(len(paths))
    ]  # names of their own, for starts and noise of their own
    parts = [
        collector.following(p, k, w, split=split) for p, k, w in zip(policies, kinds, words, strict=True)
    ]
    return join(parts, collector.id(whole))


def dataset_names(
    policy: Sequence[Path] | None, run: Path | None, name: str | None, kinds: Sequence[str]
) -> Sequence[str]:
    """What the datasets to come are called: as asked, or after their policy files or run, or after their kinds."""
    found = policy or ([run] if run else [])
    return [name or dataset_name(found)] if found else kinds


def dataset_name(paths: Sequence[Path]) -> str:
    """Of data from these policy files or runs: "ppo-sac" from ppo.npz and sac.npz."""
    return "-".join(path.name.removesuffix(".npz") for path in paths)


def run_recording(
    collector: Collector,
    folder: Path,
    *,
    noise: float = 0.0,
    run_seed: int | None = None,
    name: str | None = None,
    device: str = "cpu",
) -> Recording:
    """The agent of a run folder; run_seed: which of its seeds, the first by default.

    A single agent is split by joints in an environment of several. Raises MismatchError for a seed the run has not
    and for an environment of other dimensions.
    """
    config, (tree, meta) = run_config(folder), load_tree(folder / "checkpoint")
    seeds, data = meta["seeds"], meta["dataset"]
    chosen = seeds[0] if run_seed is None else run_seed
    if chosen not in seeds:
        raise MismatchError(f"{folder}/checkpoint has seeds {seeds}, not {chosen}")
    layout = Layout.from_dict(data["agents"]) if "agents" in data else None
    split = layout is None and collector.layout is not None
    _check(folder, (data["obs_dim"], data["action_dim"]), layout, collector, split)
    agent = agent_from_config(config, data["obs_dim"], data["action_dim"], pick_device(device), layout=layout)
    agent.load_state_dict(tree["agent"])
    policy: Policy = Member(agent, seeds, seeds.index(chosen))
    if noise:
        policy = Noisy(policy, noise, layout)
    words = f"{config.agent.name} of {folder.name}, seed {chosen}, noise {noise}"
    return collector.following(policy, name or dataset_name([folder]), words, split=split)


def _check(
    folder: Path, dims: tuple[int, int], layout: Layout | None, collector: Collector, split: bool
) -> None:
    mine = dims if layout is None else (layout.obs_dims, layout.action_dims)
    other = collector.layout
    theirs = collector.whole if split or other is None else (other.obs_dims, other.action_dims)
    if mine != theirs:
        raise MismatchError(
            f"the agent in {folder} has observations and actions of {mine} numbers, {collector.env.id} of {theirs}"
        )
