"""A finished run's policy, taken out of its folder: as a file for other projects, or on film."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mbrl.core.checkpoint import flatten, load_tree, unflatten
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.seeds import child_seed
from mbrl.core.slices import is_stacked
from mbrl.core.types import Agent, EnvSpec
from mbrl.run.build.agent import agent_from_config
from mbrl.run.build.points import run_config
from mbrl.run.export import export_policy
from mbrl.run.video import record_episode

CPU = torch.device("cpu")


def export_run(folder: Path | str, path: Path | str, *, seed: int | None = None) -> dict[str, Any]:
    """Write the deterministic policy of one of a run's seeds (the first, by default) as TorchScript.

    Returns what a reader of the file must know. Raises as `export_policy` and `seed_policy` do.
    """
    agent, meta, seed = seed_policy(folder, seed)
    data = meta["dataset"]
    layout = Layout.from_dict(data["agents"]) if "agents" in data else None
    shape = (data["obs_dim"],) if layout is None else (layout.agents, layout.obs_dim)
    difference = export_policy(agent, path, shape)
    width = (data["action_dim"],) if layout is None else (layout.agents, layout.action_dim)
    return {
        "run": str(folder),
        "policy": str(path),
        "seed": seed,
        "update": meta["update"],
        "obs": ["batch", *shape],
        "action": ["batch", *width],
        "largest_difference": difference,
    }


def record_run(folder: Path | str, path: Path | str, *, seed: int | None = None) -> dict[str, Any]:
    """Write one episode of one of a run's seeds (the first, by default) as a GIF. Raises as record_episode."""
    agent, meta, seed = seed_policy(folder, seed)
    env = meta["dataset"]["env"]
    if env is None:
        raise ConfigError(f"{folder}: its dataset names no environment to record; set dataset.env=<id>")
    start = child_seed(seed, "video") % 2**31
    total, length = record_episode(agent, EnvSpec(**env), path, start=start)
    return {"run": str(folder), "video": str(path), "seed": seed, "return": total, "length": length}


def seed_policy(folder: Path | str, seed: int | None = None) -> tuple[Agent, dict[str, Any], int]:
    """(policy, checkpoint's meta, seed): an agent of that seed alone, on the CPU, as the run's checkpoint has it.

    Raises MismatchError for a seed the run has not got, ConfigError for the folder of a stack, and CheckpointError
    for one without a checkpoint.
    """
    folder = Path(folder)
    config, (tree, meta) = run_config(folder), load_tree(folder / "checkpoint")
    seeds, data = list(meta["seeds"]), meta["dataset"]
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise MismatchError(f"{folder}/checkpoint has seeds {seeds}, not {seed}")
    layout = Layout.from_dict(data["agents"]) if "agents" in data else None
    config = replace(config, seeds=[seed])
    agent = agent_from_config(config, data["obs_dim"], data["action_dim"], CPU, layout=layout)
    row, n = seeds.index(seed), len(seeds)
    state = {k: x[row : row + 1] if is_stacked(x, n) else x for k, x in flatten(tree["agent"]).items()}
    agent.load_state_dict(unflatten(state))
    return agent, meta, seed
