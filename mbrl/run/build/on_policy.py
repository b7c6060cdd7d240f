"""Samples of a run's diffusion model under its policy: how near they keep to it, and how true they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mbrl.conf.schema_joint import CodaConf
from mbrl.core.checkpoint import load_tree
from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.diagnose.on_policyness import Point, Truth, on_policyness
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
) -> dict[str, list[Point]]:
    """{"<environment>, <guide>": a point for each lambda} of the agent at <run>/checkpoint.

    The diffusion model is that of the run's own source, from its cache, fitted again if it is not there. Raises
    ConfigError for a run whose source has none, or whose environment's truth is not known, and CheckpointError.
    """
    folder, here = Path(folder), pick_device(device)
    config, (tree, meta) = run_config(folder), load_tree(folder / "checkpoint")
    conf = config.source
    if not isinstance(conf, CodaConf):
        raise ConfigError(
            f"{folder}: source={conf.name} samples no diffusion model; choose a run of source=coda"
        )
    dataset = dataset_from_config(config)
    if dataset.env is None:
        raise ConfigError(f"{folder}: its dataset names no environment, so nothing is known to be true")
    truth = truth_of(dataset.env, here)
    dims = dataset.obs_dim, dataset.action_dim
    agent = agent_from_config(config, *dims, here, layout=dataset.layout)
    agent.load_state_dict(tree["agent"])
    model = diffusion_from_config(config, dataset, here)
    options = {"width": conf.width, "steps": conf.sampling_steps, "churn": conf.churn, "order": conf.order}
    options |= {"schedule": conf.schedule, "normalise": conf.normalise, "seeds": meta["seeds"], "n": segments}
    return {
        f"{dataset.env.id}, {guide}": on_policyness(model, agent, truth, weights, guide=guide, **options)
        for guide in guides
    }


def truth_of(env: EnvSpec, device: torch.device) -> Truth:
    """One true step of an environment from any observation. Raises ConfigError where it is not known."""
    namespace = env.id.partition("/")[0]
    return TRUTHS.get(namespace, _robot)(env, device)


def _game(env: EnvSpec, device: torch.device) -> Truth:
    game: GameEnv = make_native(env).unwrapped
    return lambda obs, action: (obs, game.game.reward(action))


def _team(env: EnvSpec, device: torch.device) -> Truth:
    return JointTruth(env, device=device).step


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
