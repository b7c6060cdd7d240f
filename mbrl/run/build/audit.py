"""The reach audit of a run folder: its parts put together again at a checkpoint, and measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.conf.schema import Config
from mbrl.core.checkpoint import META, Tree, exists, load_tree
from mbrl.core.device import pick_device
from mbrl.core.errors import CheckpointError, ConfigError, MismatchError
from mbrl.core.log import read_metrics
from mbrl.core.types import Agent, Dynamics, Reconstructing, Source, Stateful, Transitions, ValuedPolicy
from mbrl.datasets import OfflineDataset
from mbrl.diagnose.as_json import take_seeds
from mbrl.diagnose.audit import write_audit
from mbrl.diagnose.measure import Subject, measure
from mbrl.dynamics import TrueDynamics
from mbrl.run.adversarial import AdversarialRollouts
from mbrl.run.build.agent import agent_from_config
from mbrl.run.build.edge import edge_from_config, oracle_from_config
from mbrl.run.build.model import dynamics_from_config, fit_is_due, learned_conf, true_dynamics
from mbrl.run.build.parts import dataset_from_config
from mbrl.run.build.points import run_config
from mbrl.run.build.source import needs_model, source_from_config
from mbrl.run.envs import current_versions
from mbrl.run.frozen import frozen_seeds


def audit_run(
    folder: Path | str,
    *,
    checkpoint: str = "checkpoint",
    out: Path | str | None = None,
    seeds: Sequence[int] | None = None,
    starts: int = 500,
    mc_horizon: int = 300,
    device: str = "auto",
    fit: bool = False,
    progress: bool = True,
) -> Path:
    """Write audit.html and audit.json for a run to <run>/diagnose, or to `out`; returns the page.

    seeds: which of the run's seeds to report, all by default; starts: rollouts a seed; mc_horizon: steps of a
    Monte-Carlo return; fit: fit the model again if it is not in the cache. The run is not changed. Raises
    ConfigError, CheckpointError or MismatchError, before any long work, for what does not fit together.
    """
    folder = Path(folder)
    if starts < 2 or mc_horizon < 1:
        raise ConfigError(
            f"starts={starts}, mc_horizon={mc_horizon}: at least 2 rollouts and 1 step are needed"
        )
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"{folder}: no run here (no config.yaml); name the folder that training wrote")
    config, (tree, meta) = run_config(folder), _checkpoint(folder, checkpoint)
    rows = _rows(folder / checkpoint, meta["seeds"], seeds)
    dataset, here = _dataset(config, meta, folder / checkpoint), pick_device(device)
    _check_auditable(config, dataset)
    if config.source.name != "none" and not fit and fit_is_due(config, dataset):
        raise ConfigError(
            f"{folder}: its model is not in the cache {learned_conf(config).cache} any more; point its path in "
            "config.yaml to a copy, or add --fit to fit it again, which takes as long as it did in training"
        )
    subject = _subject(config, dataset, tree, here, folder, meta)
    measured = measure(subject, starts=starts, mc_horizon=mc_horizon, progress=progress)
    agent = subject.agent
    about = _about(config, meta, folder, checkpoint) | {
        "starts": starts,
        "mc_horizon": mc_horizon,
        "critics": agent.values(subject.data.obs[None, :1].expand(len(meta["seeds"]), 1, -1)).shape[1]
        if isinstance(agent, ValuedPolicy)
        else 0,
    }
    return write_audit(
        folder / "diagnose" if out is None else out,
        take_seeds(measured, rows),
        [meta["seeds"][i] for i in rows],
        agent.gamma if isinstance(agent, ValuedPolicy) else None,
        about,
        subject.history,
    )


def _checkpoint(folder: Path, name: str) -> tuple[Tree, dict[str, Any]]:
    """Raises CheckpointError for one that is missing, with those that are there."""
    if not exists(folder / name):
        there = sorted(path.parent.name for path in folder.glob(f"*/{META}"))
        raise CheckpointError(f"{folder}: no checkpoint {name!r}; there: {', '.join(there) or 'none'}")
    return load_tree(folder / name)


def _rows(where: Path, trained: Sequence[int], chosen: Sequence[int] | None) -> list[int]:
    """Places of the chosen seeds in the stack."""
    chosen = list(trained) if chosen is None else list(chosen)
    if missing := set(chosen) - set(trained):
        raise MismatchError(f"{where} has seeds {list(trained)}, not {sorted(missing)}")
    return [list(trained).index(seed) for seed in chosen]


def _dataset(config: Config, meta: dict[str, Any], where: Path) -> OfflineDataset:
    """The run's dataset. Raises MismatchError if the file has changed since."""
    dataset, want = dataset_from_config(config), meta["dataset"]
    if dataset.sha256 != want["sha256"]:
        raise MismatchError(
            f"{where} was trained on {want['id']} with sha256 {want['sha256']}, but dataset.source="
            f"{config.dataset.source} is now {dataset.id} with {dataset.sha256}: restore the file to audit the run"
        )
    return dataset


def _check_auditable(config: Config, dataset: OfflineDataset) -> None:
    """Raise ConfigError for a run without a rollout whose reach could be looked at."""
    if dataset.layout is not None:
        raise ConfigError(f"reach audits are of one agent's rollouts, and {dataset.id} is of several")
    if config.source.name != "none" and not needs_model(config):
        raise ConfigError(
            f"reach audits are of rollouts in a model, which source={config.source.name} does not make"
        )


def _subject(
    config: Config,
    dataset: OfflineDataset,
    tree: Tree,
    device: torch.device,
    folder: Path,
    meta: dict[str, Any],
) -> Subject:
    """The run as it was at the checkpoint."""
    dynamics = source = None
    if config.source.name != "none":
        dynamics = dynamics_from_config(config, dataset, device)
        oracle = oracle_from_config(config, dataset, device)
        source = source_from_config(config, dataset, dynamics, device, oracle=oracle)
    dims, edge = (dataset.obs_dim, dataset.action_dim), edge_from_config(config, dataset, device)
    agent = agent_from_config(config, *dims, device, dynamics=dynamics, edge=edge)
    _restore(agent, source, tree, folder)
    source, dynamics = _rollouts(source, dynamics)
    truth, no_truth = _truth(dynamics, dataset, device)
    data = dataset.transitions.to(device)
    batch, real = config.train.batch_size, 1.0 if source is None else config.train.real_ratio
    return Subject(
        agent,
        data,
        tuple(meta["seeds"]),
        source=source,
        dynamics=dynamics,
        # Without the last step's rows, the states before it are the edge.
        horizon=0 if source is None else source.horizon - (config.edge.name == "drop"),
        truth=truth,
        no_truth=no_truth,
        allowed=_allowed(dynamics, data),
        real_share=int(batch * real) / batch,
        history=tuple(r for r in read_metrics(folder / "metrics.jsonl") if r["update"] <= meta["update"]),
    )


def _restore(agent: Agent, source: Source | None, tree: Tree, folder: Path) -> None:
    try:
        agent.load_state_dict(tree.get("agent", {}))
        if isinstance(source, Stateful):
            source.load_state_dict(tree["experience"]["source"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise MismatchError(f"{folder}: the checkpoint does not fit config.yaml: {error}") from error


def _rollouts(source: Source | None, dynamics: Dynamics | None) -> tuple[Source | None, Dynamics | None]:
    """What draws, and from which model. An adversary would train its model before it lets it be drawn from."""
    source = source.rollouts if isinstance(source, AdversarialRollouts) else source
    return source, getattr(source, "dynamics", dynamics)


def _allowed(dynamics: Dynamics | None, data: Transitions) -> Tensor | None:
    """Rows that rollouts may start from: all, unless the model simulates and knows no state of some."""
    if data.sim_state is not None or not isinstance(dynamics, Reconstructing):
        return None
    return dynamics.reconstructable(data.obs).nonzero().squeeze(-1)


def _truth(
    dynamics: Dynamics | None, dataset: OfflineDataset, device: torch.device
) -> tuple[Dynamics | None, str]:
    """The true dynamics, or why there are none; a simulator of the wrong version is an error, not a reason."""
    if isinstance(dynamics, TrueDynamics):
        return dynamics, ""
    try:
        return true_dynamics(dataset, device), ""
    except ConfigError as error:
        return None, f"no simulator: {error}"


def _about(config: Config, meta: dict[str, Any], folder: Path, checkpoint: str) -> dict[str, Any]:
    """What was audited, for the page and for JSON."""
    return {
        "run": str(folder),
        "checkpoint": checkpoint,
        "update": meta["update"],
        "dataset": meta["dataset"]["id"],
        "sha256": meta["dataset"]["sha256"],
        "environment": (meta["dataset"]["env"] or {}).get("id", "unknown"),
        "agent": config.agent.label,
        "dynamics": config.dynamics.name,
        "penalty": config.penalty.name,
        "edge": config.edge.name,
        "source": config.source.name,
        "versions": current_versions(),
        **_lost(meta),
    }


def _lost(meta: dict[str, Any]) -> dict[str, str]:
    """A line on the seeds that diverged, where there are any: they are audited as they were before it."""
    lost = [f"seed {seed} at update {end['update']:,}" for seed, end in frozen_seeds(meta).items()]
    return {"diverged": f"{', '.join(lost)}; audited as the last sound checkpoint has them"} if lost else {}
