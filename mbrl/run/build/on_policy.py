"""Samples of a run's diffusion model under its policy: how near they keep to it, and how true they are."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.conf.schema import Config
from mbrl.conf.schema_joint import CodaConf
from mbrl.core.checkpoint import load_tree
from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec, Transitions
from mbrl.datasets import OfflineDataset
from mbrl.diagnose.on_policyness import Curve, Truth, on_policyness, point, step_deviations
from mbrl.dynamics.games.env import GameEnv
from mbrl.dynamics.joint_truth import JointTruth
from mbrl.dynamics.true_dynamics import TrueDynamics
from mbrl.run.build.agent import agent_from_config
from mbrl.run.build.parts import dataset_from_config
from mbrl.run.build.points import run_config
from mbrl.run.build.source import diffusion_from_config
from mbrl.run.envs import make_native

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def on_policy_run(
    folder: Path | str,
    *,
    guides: Sequence[str] = ("posterior",),
    weights: Sequence[float] = WEIGHTS,
    segments: int = 500,
    device: str = "auto",
) -> list[Curve]:
    """A curve for each guide, a point for each lambda, of the agent at <run>/checkpoint; and the data's own rows.

    The diffusion model is that of the run's own source, from its cache, fitted again if it is not there. Raises
    ConfigError for a run whose source has none, or whose environment's truth is not known, and CheckpointError.
    """
    folder, here = Path(folder), pick_device(device)
    config, (tree, meta) = run_config(folder), load_tree(folder / "checkpoint")
    dataset = _dataset(config, folder)
    truth = truth_of(dataset.env, here)
    dims = dataset.obs_dim, dataset.action_dim
    agent = agent_from_config(config, *dims, here, layout=dataset.layout)
    agent.load_state_dict(tree["agent"])
    model = diffusion_from_config(config, dataset, here)
    data, conf = dataset.transitions.to(here), config.source
    scale = step_deviations(data) if _moves(data) else None
    rows = _some(data, segments * conf.segment, len(meta["seeds"]))
    own = point(model, agent, truth, None, rows, torch.ones_like(rows.terminal), scale)
    about = _about(dataset, meta, segments, scale)
    how = {"seeds": meta["seeds"], "n": segments, "step_std": scale, **_sampling(conf)}

    def curve(guide: str) -> Curve:
        points = on_policyness(model, agent, truth, weights, guide=guide, **how)
        return Curve(dataset.env.id, config.agent.label, guide, points, own, about)

    return [curve(guide) for guide in guides]


def _dataset(config: Config, folder: Path) -> OfflineDataset:
    """The run's data; ConfigError if nothing samples a diffusion model, or nothing is known to be true."""
    if not isinstance(config.source, CodaConf):
        raise ConfigError(
            f"{folder}: source={config.source.name} samples no diffusion model; choose a run of source=coda"
        )
    dataset = dataset_from_config(config)
    if dataset.env is None:
        raise ConfigError(f"{folder}: its dataset names no environment, so nothing is known to be true")
    return dataset


def _sampling(conf: CodaConf) -> dict[str, Any]:
    """The run's own options of Coda, but for lambda and the guide."""
    options = {"width": conf.width, "steps": conf.sampling_steps, "churn": conf.churn, "order": conf.order}
    return options | {"schedule": conf.schedule, "normalise": conf.normalise}


def _moves(rows: Transitions) -> bool:
    """Whether observations change at all; those of one-step games do not."""
    return bool((rows.next_obs != rows.obs).any())


def _some(rows: Transitions, count: int, seeds: int) -> Transitions:
    """Rows [S, B, ...] of the data, B of `count` at most, the same for every seed and in every call."""
    chosen = torch.randperm(len(rows.reward), generator=torch.Generator().manual_seed(0))[:count]
    return rows[chosen.to(rows.reward.device)].map(lambda x: x.expand(seeds, *x.shape))


def _about(
    dataset: OfflineDataset, meta: Mapping[str, Any], segments: int, scale: Tensor | None
) -> dict[str, Any]:
    """What figures are of, and their units, for JSON."""
    found = {"dataset": dataset.id, "rows": len(dataset), "seeds": list(meta["seeds"]), "segments": segments}
    found["reward_std"] = float(dataset.transitions.reward.std(correction=0))
    return found | ({} if scale is None else {"step_std": scale.tolist()})


def truth_of(env: EnvSpec, device: torch.device) -> Truth:
    """One true step of an environment from any observation. Raises ConfigError where it is not known."""
    namespace = env.id.partition("/")[0]
    return TRUTHS.get(namespace, _robot)(env, device)


def _game(env: EnvSpec, device: torch.device) -> Truth:
    game: GameEnv = make_native(env).unwrapped
    return lambda obs, action: (obs, game.game.reward(action))


def _team(env: EnvSpec, device: torch.device) -> Truth:
    """NaN where the agents do not see the whole state: of rows with a velocity at Hopper's bound."""
    truth = JointTruth(env, device=device)

    def step(obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        found = truth.step(obs, action)
        next_obs = found.next_obs.masked_fill(~found.known[..., None, None], torch.nan)
        return next_obs, found.reward.masked_fill(~found.known, torch.nan)

    return step


def _robot(env: EnvSpec, device: torch.device) -> Truth:
    """Of one agent; NaN for observations that do not show their whole state."""
    truth = TrueDynamics(env, device=device)

    def step(obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        known = truth.reconstructable(obs)
        carry = truth.at(truth.task.layout.restore(obs.detach().cpu().double().numpy()))
        _, next_obs, reward, _ = truth.advance(carry, action)
        found = (torch.from_numpy(x).to(obs) for x in (next_obs, reward))
        next_obs, reward = found
        nothing = torch.full((), torch.nan, device=obs.device)
        return torch.where(known.unsqueeze(-1), next_obs, nothing), torch.where(known, reward, nothing)

    return step


TRUTHS: dict[str, Callable[[EnvSpec, torch.device], Truth]] = {"game": _game, "mamujoco": _team}
"""By the namespace of the environment's id; robots of one agent have none."""
