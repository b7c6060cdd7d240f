"""Composition root: the one place that knows every part, and turns a configuration into a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mbrl.conf import load_config
from mbrl.conf.resume import check_resume
from mbrl.conf.schema import Config
from mbrl.conf.stack import whole
from mbrl.core.checkpoint import load_tree, recover
from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.diagnose.plots import draw_run
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.build.agent import agent_from_config, check_agents, learner_from_config
from mbrl.run.build.edge import oracle_from_config
from mbrl.run.build.model import dynamics_from_config
from mbrl.run.build.parts import (
    dataset_from_config,
    evaluation_from_config,
    evaluation_metrics,
    experience_from_config,
    identity,
    schedule_from_config,
)
from mbrl.run.build.points import folders, points_from_config, run_config, save_configs
from mbrl.run.build.pretrain import pretrain_from_config
from mbrl.run.build.source import check_guide, flat_dataset, needs_model, source_from_config
from mbrl.run.build.speed import mode_from_config, precision_from_config
from mbrl.run.evaluate import evaluate
from mbrl.run.fit_log import FitLog
from mbrl.run.folder import alone, prepare
from mbrl.run.frozen import frozen_seeds
from mbrl.run.result import read_result, table
from mbrl.run.train import Trainer

__all__ = ["dataset_from_config", "dynamics_from_config", "evaluate_run", "train_from_config"]


def train_from_config(config: Config) -> Path:
    """The main job: data, model, agent, loop, result, picture. Returns the run folder, with a stack that of all.

    Raises ConfigError if another process is training in that folder, CheckpointError if there is a checkpoint to
    go on from, and neither it nor the one before it is sound; both before any work.
    """
    device = pick_device(config.device)
    mode = mode_from_config(config, device)
    with alone(folders(config)):
        return _train(config, device, mode)


def _train(config: Config, device: torch.device, mode: str) -> Path:
    folder = prepare(config.out, resume=config.resume, overwrite=config.overwrite)
    if config.resume:
        recover(folder / "checkpoint")
        if (folder / "config.yaml").is_file():
            check_resume(config, load_config(folder / "config.yaml"))
    points = points_from_config(config)
    dataset = dataset_from_config(config)
    check_agents(config.agent.name, dataset.layout)
    save_configs(config)
    config = whole(config)
    looks = evaluation_from_config(config, dataset, device)  # before the fit: it may find what is missing
    source = dynamics = None
    if needs_model(config):
        with FitLog(folder) as log:
            dynamics = dynamics_from_config(config, flat_dataset(dataset), device, on_epoch=log)
    agent = learner_from_config(config, dataset, dynamics, device)
    check_guide(config, agent)
    if config.source.name != "none":
        oracle = oracle_from_config(config, dataset, device)
        source = source_from_config(config, dataset, dynamics, device, oracle=oracle)
    precision_from_config(config, device, agent, dynamics)
    pretrain_from_config(config, agent, dataset, folder, points)
    trainer = Trainer(
        folder,
        agent,
        experience_from_config(config, dataset, source, device),
        schedule_from_config(config),
        seeds=config.seeds,
        dataset=identity(dataset),
        evaluate=looks,
        device=device,
        resume=config.resume,
        accelerate=mode,
        points=points,
    )
    trainer.run()
    for run in [point.folder for point in points] or [folder]:
        result = read_result(run)
        print(table(result, dataset.stats.return_mean))
        print(f"{result['status']}: {run}/result.json, picture {draw_run(run)}")
    return folder


def evaluate_run(
    folder: Path | str, *, episodes: int = 10, seeds: Sequence[int] | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Evaluate a run's checkpoint from its folder alone: the dataset need not be there.

    seeds: which of the run's seeds; all by default. Start states are fresh: none of them was seen by an
    evaluation during training. A seed that diverged is evaluated as its last sound checkpoint had it, and named.
    """
    folder = Path(folder)
    config, (tree, meta) = run_config(folder), load_tree(folder / "checkpoint")
    here, dataset = pick_device(device), meta["dataset"]
    if dataset["env"] is None:
        raise ConfigError(f"{folder}: its dataset names no environment to evaluate in; set dataset.env=<id>")
    chosen = list(config.seeds) if seeds is None else list(seeds)
    if missing := set(chosen) - set(meta["seeds"]):
        raise MismatchError(f"{folder}/checkpoint has seeds {meta['seeds']}, not {sorted(missing)}")
    layout = Layout.from_dict(dataset["agents"]) if "agents" in dataset else None
    agent = agent_from_config(config, dataset["obs_dim"], dataset["action_dim"], here, layout=layout)
    agent.load_state_dict(tree["agent"])
    env, cap = EnvSpec(**dataset["env"]), config.train.eval_max_steps
    options = {"episodes": episodes, "max_steps": cap, "together": side_by_side}
    found = evaluate(agent, env, seeds=meta["seeds"], index=-1, **options)
    metrics = evaluation_metrics(found, dataset["id"])
    rows = {seed: i for i, seed in enumerate(meta["seeds"])}
    lost = {seed: end for seed, end in frozen_seeds(meta).items() if seed in chosen}
    return {
        "run": str(folder),
        "update": meta["update"],
        "episodes": episodes,
        "seeds": chosen,
        **{name.removeprefix("eval/"): [v[rows[s]].item() for s in chosen] for name, v in metrics.items()},
        "std": [found.returns[rows[s]].std(correction=0).item() for s in chosen],
        **({"diverged": lost} if lost else {}),
    }
