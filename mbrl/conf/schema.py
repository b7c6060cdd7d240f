"""The configuration, field by field: type, published default, and where the default comes from.

Hydra checks files and command lines against these dataclasses; the rest of the code receives them as plain
objects (mbrl.conf.compose). A field with several possible shapes (`agent`, `dynamics`, `source`, `penalty`)
is declared by its base class, and the group option that is chosen says which subclass it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING


def option(default: Any, help: str) -> Any:
    """A dataclass field with a sentence of help, shown by `--help`; lists and dicts are copied."""
    metadata = {"help": help}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    if is_dataclass(default):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class DatasetConf:
    """Which experience to learn from, and the environment it belongs to."""

    source: str = option(
        MISSING, "sample, a path to .hdf5 or .npz, d4rl/<task>-<version>, minari/<id> or game/<game>/<data>"
    )
    env: str | None = option(None, "environment id to evaluate in; null: the one the dataset names")
    env_kwargs: dict[str, Any] = option({}, "arguments of that environment, where env is given")


@dataclass
class DynamicsConf:
    """A transition model; the group option chooses the subclass."""

    name: str = option(MISSING, "which kind of model")


@dataclass
class EnsembleConf(DynamicsConf):
    """The probabilistic ensemble of PETS and MBPO; MBPO's numbers, as in OfflineRL-Kit, where not said."""

    name: str = option("ensemble", "which kind of model")
    members: int = option(7, "E, networks in the ensemble (MBPO)")
    elites: int = option(5, "members that rollouts sample from, best by hold-out error (MBPO)")
    hidden: list[int] = option([200, 200, 200, 200], "widths of the hidden layers (MBPO)")
    activation: str = option("silu", "relu, silu or tanh (MBPO: silu, also called swish)")
    lr: float = option(1e-3, "Adam step size (MBPO)")
    batch_size: int = option(256, "rows a member sees in one step (MBPO)")
    weight_decay: list[float] = option([2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4], "one a layer (MBPO)")
    logvar_init: list[float] = option([-10.0, 0.5], "first soft bounds of the log-variance (PETS)")
    logvar_coef: float = option(0.01, "weight of the bounds in the loss (PETS; RAMBO 0.001)")
    holdout_fraction: float = option(0.2, "share of rows kept out of the fit (MBPO)")
    holdout_max: int = option(1000, "at most so many rows are kept out (MOPO, OfflineRL-Kit)")
    improvement: float = option(0.01, "relative fall in hold-out error that counts as progress (MBPO)")
    patience: int = option(5, "epochs in which no member progresses before the fit stops (MBPO)")
    max_epochs: int | None = option(None, "upper limit on epochs; null: patience alone decides")
    termination: str = option("auto", "auto: the environment's; learned; none; package.module.function")
    per_seed: bool = option(False, "true: one ensemble a seed; false: one for all, as in published code")
    cache: str = option("runs/dynamics", "folder where fitted models are kept and found again")
    path: str | None = option(None, "a fitted model to use as it is; null: fit, or take from the cache")


@dataclass
class TrueDynamicsConf(DynamicsConf):
    """The environment itself, simulated in batch by MuJoCo: nothing is fitted."""

    name: str = option("mujoco", "which kind of model")
    threads: int | None = option(
        None, "threads to simulate on; null: one a core. Results do not depend on it"
    )


@dataclass
class InterpolatedConf(DynamicsConf):
    """Between an untrained network, the learned model and the true dynamics (Sims et al. 2024, figure 1)."""

    name: str = option("interpolated", "which kind of model")
    weight: float = option(0.5, "w: -1 untrained, 0 learned, 1 true; between them mixed (ours: halfway)")
    threads: int | None = option(
        None, "threads to simulate on; null: one a core. Results do not depend on it"
    )
    ensemble: EnsembleConf = option(EnsembleConf(), "the learned model")


@dataclass
class CustomDynamicsConf(DynamicsConf):
    """Your own mbrl.core.types.Dynamics, target(dataset, seeds=, device=, **kwargs)."""

    name: str = option("custom", "which kind of model")
    _target_: str = option(MISSING, "package.module.Class to import")
    kwargs: dict[str, Any] = option({}, "its further arguments")


@dataclass
class PenaltyConf:
    """What the model's uncertainty costs in a rollout; the group option chooses the subclass."""

    name: str = option("none", "which penalty; none: the base procedure")


@dataclass
class RewardPenaltyConf(PenaltyConf):
    """r - coefficient * u(s, a) (MOPO); which measure u is, the option's name says."""

    name: str = option("mopo_aleatoric", "which penalty")
    coefficient: float = option(1.0, "lambda (MOPO: 0.5 to 5, see task=mopo/...)")
    members: str = option("all", "whose predictions count: all (MOPO, OfflineRL-Kit) or elites (unifloral)")
    dims: str = option("obs_reward", "columns that count: obs, or obs_reward")


@dataclass
class MorelConf(PenaltyConf):
    """Reward -kappa and the end where u(s, a) = max_ij |mu_i - mu_j| > threshold (MOReL)."""

    name: str = option("morel", "which penalty")
    threshold: float | None = option(None, "u may be this; null: coefficient times its largest on the data")
    coefficient: float = option(1.0, "that multiple (unifloral's code: 1; MOReL's on hopper-medium: 3)")
    kappa: float | None = option(None, "the reward is -kappa; null: the data's smallest reward plus offset")
    offset: float = option(-200.0, "added to that reward (unifloral's code)")
    members: str = option("all", "whose predictions count: all (MOReL) or elites (unifloral)")
    dims: str = option("obs", "columns that count: obs (MOReL), or obs_reward (unifloral)")


@dataclass
class EdgeConf:
    """What targets bootstrap from at the last rollout step; the group option chooses the subclass."""

    name: str = option("none", "which treatment; none: the critics' own value, as in every paper")


@dataclass
class ConstantEdgeConf(EdgeConf):
    """A constant is taken off the value there."""

    name: str = option("constant", "which treatment")
    cost: float = option(10.0, "what is taken off (ours)")


@dataclass
class DropEdgeConf(EdgeConf):
    """The last step's rows are left out: nothing is bootstrapped from their successors."""

    name: str = option("drop", "which treatment")


@dataclass
class OracleEdgeConf(EdgeConf):
    """The value there is the current policy's under the true dynamics, by Monte-Carlo rollouts."""

    name: str = option("oracle", "which treatment")
    when: str = option(
        "refresh", "refresh: once, when rows are drawn; update: for every batch, at its policy"
    )
    rollouts: int = option(1, "rollouts a state (ours)")
    horizon: int = option(200, "steps a rollout, which leaves out a share gamma^horizon at most (ours)")


@dataclass
class SourceConf:
    """Where synthetic experience comes from; the group option chooses the subclass."""

    name: str = option(MISSING, "which kind of source")


@dataclass
class RolloutConf(SourceConf):
    """Truncated rollouts of the current policy in the model (MBPO run offline)."""

    name: str = option("rollout", "which kind of source")
    starts: int = option(50_000, "start states drawn from the data at each refresh (MOPO, RAVL)")
    horizon: int = option(5, "k, model steps a rollout (RAVL)")
    refresh_every: int = option(1000, "updates between refreshes (MOPO, RAVL: one epoch)")
    retain: int = option(5, "refreshes that the synthetic buffer keeps (MOPO, RAVL)")


@dataclass
class RamboConf(RolloutConf):
    """Rollouts in an ensemble that is made pessimistic about the policy. Numbers of RAMBO's official code."""

    name: str = option("rambo", "which kind of source")
    adv_weight: float = option(3e-4, "lambda, weight of the adversarial term (RAMBO, see task=rambo/...)")
    model_every: int = option(1000, "updates between model phases, a multiple of refresh_every (RAMBO)")
    model_updates: int = option(1000, "steps of a model phase (RAMBO); 0: the model stays as it was fitted")
    model_lr: float = option(3e-4, "Adam step size of a model phase (RAMBO)")
    model_batch_size: int = option(256, "rollouts, and real rows a member, in one step of it (RAMBO)")
    sum_over_batch: bool = option(False, "the adversarial term is a sum over its rows; false: their mean")


@dataclass
class NoSourceConf(SourceConf):
    """No synthetic experience: model-free learning."""

    name: str = option("none", "which kind of source")


@dataclass
class CustomSourceConf(SourceConf):
    """Your own mbrl.core.types.Source, target(dataset, dynamics=, seeds=, device=, **kwargs)."""

    name: str = option("custom", "which kind of source")
    _target_: str = option(MISSING, "package.module.Class to import")
    kwargs: dict[str, Any] = option({}, "its further arguments")
    starts: int = option(50_000, "rows asked for at each refresh")
    refresh_every: int = option(1000, "updates between refreshes")
    retain: int = option(5, "refreshes that the synthetic buffer keeps")


@dataclass
class AgentConf:
    """A learner; the group option chooses the subclass."""

    name: str = option(MISSING, "key in mbrl.agents.AGENTS")
    label: str = option("${.name}", "how tables and run folders call it")


@dataclass
class SacConf(AgentConf):
    """SAC with N critics: the base procedure, SAC-N, EDAC and RAVL. Defaults of RAVL's official code."""

    name: str = option("sac", "key in mbrl.agents.AGENTS")
    num_critics: int = option(10, "N (RAVL, EDAC: 10; two without diversity is the base procedure)")
    eta: float = option(1.0, "weight of the gradient diversity term (EDAC, equation 6; RAVL: 1; 0: off)")
    hidden: list[int] = option([256, 256, 256], "widths of actor and critics (EDAC, RAVL)")
    gamma: float = option(0.99, "discount")
    tau: float = option(0.005, "step of the target networks (SAC)")
    actor_lr: float = option(3e-4, "Adam step size (EDAC, RAVL)")
    actor_lr_cosine: int | None = option(
        None, "updates over which it falls to 0 as half a cosine; null: never"
    )
    critic_lr: float = option(3e-4, "Adam step size (EDAC, RAVL)")
    alpha_lr: float = option(3e-4, "Adam step size of the temperature (EDAC, RAVL)")
    auto_alpha: bool = option(True, "true: the temperature follows target_entropy; false: it stays at alpha")
    alpha: float = option(1.0, "temperature, at the start or throughout")
    alpha_max: float | None = option(None, "a larger temperature counts as this (MOBILE: 1); null: no cap")
    target_entropy: float | None = option(None, "null: minus the action dimension (SAC)")
    pretrain_epochs: int = option(0, "behaviour cloning of the actor before training (RAMBO: 50)")
    pretrain_lr: float = option(1e-4, "Adam step size of that (RAMBO)")
    backup_entropy: bool = option(True, "targets count entropy (SAC: true; COMBO in OfflineRL-Kit: false)")
    log_std_bounds: list[float] = option([-5.0, 2.0], "clip of the policy's log deviation (EDAC, RAVL)")


@dataclass
class MobileConf(SacConf):
    """MOBILE: SAC with the disagreement of a model's members taken off its targets."""

    name: str = option("mobile", "key in mbrl.agents.AGENTS")
    beta: float = option(1.0, "weight of the disagreement (MOBILE: 0.1 to 5, see task=mobile/...)")
    samples: int = option(10, "next states drawn from each elite (MOBILE)")
    clamp_target: bool = option(
        False, "targets below 0 count as 0 (MOBILE's code: true; wrong for negative returns)"
    )


@dataclass
class ComboConf(SacConf):
    """COMBO: SAC with CQL's regulariser on rows mixed from data and rollouts; numbers of OfflineRL-Kit."""

    name: str = option("combo", "key in mbrl.agents.AGENTS")
    cql_weight: float = option(5.0, "weight of the regulariser (OfflineRL-Kit: 0.5 or 5, see task=combo/...)")
    temperature: float = option(1.0, "softness of the maximum over actions (CQL)")
    repeats: int = option(10, "actions drawn at a state, uniform, from pi(s) and from pi(s') each (CQL)")
    states: str = option("mix", "where values are pushed down: mix, the whole batch; model, synthetic rows")


@dataclass
class BcConf(AgentConf):
    """Behaviour cloning, the floor every offline method should clear."""

    name: str = option("bc", "key in mbrl.agents.AGENTS")
    hidden: list[int] = option([256, 256, 256], "widths of the policy (as the other agents here)")
    lr: float = option(3e-4, "Adam step size (as the other agents here)")


@dataclass
class CustomAgentConf(AgentConf):
    """Your own mbrl.core.types.Agent, target(obs_dim, action_dim, seeds=, device=, **kwargs)."""

    name: str = option("custom", "key in mbrl.agents.AGENTS")
    _target_: str = option(MISSING, "package.module.Class to import")
    kwargs: dict[str, Any] = option({}, "its further arguments")


@dataclass
class TrainConf:
    """The loop. Numbers of RAVL's official code: 3000 epochs of 1000 updates, evaluated each epoch."""

    updates: int = option(3_000_000, "gradient steps (RAVL, EDAC: 3 million)")
    batch_size: int = option(256, "rows a seed sees in one update (RAVL, EDAC)")
    real_ratio: float = option(0.05, "share of a batch that is real data (MOPO, RAVL); 1 with source=none")
    eval_every: int = option(1000, "updates between evaluations (RAVL)")
    eval_episodes: int = option(10, "episodes a seed at each evaluation (RAVL)")
    eval_max_steps: int | None = option(None, "cap on an episode's steps; null: the environment's own limit")
    bias_states: int = option(0, "states at which evaluations compare Q with true returns; 0: off (ours)")
    bias_horizon: int = option(300, "steps of those returns, which leave out gamma^horizon at most (ours)")
    log_every: int = option(1000, "updates between lines in metrics.jsonl")
    checkpoint_every: int = option(10_000, "updates between checkpoints")
    q_limit: float | None = option(
        1e7, "a seed has diverged when its mean |Q| passes this (ours); null: never"
    )
    accelerate: str = option(
        "auto", "how updates run: eager, compile or graph; auto: graph on CUDA, else eager"
    )
    precision: str = option(
        "float32", "products of critics and of model rollouts: float32, tf32 (CUDA) or bf16"
    )
    progress: bool = option(True, "show progress bars")


@dataclass
class Config:
    """One training run."""

    dataset: DatasetConf = option(DatasetConf(), "what to learn from")
    dynamics: DynamicsConf = option(DynamicsConf(), "the transition model")
    penalty: PenaltyConf = option(PenaltyConf(), "what its uncertainty costs")
    edge: EdgeConf = option(EdgeConf(), "what targets bootstrap from at the last rollout step")
    source: SourceConf = option(SourceConf(), "where synthetic experience comes from")
    agent: AgentConf = option(AgentConf(), "what learns")
    train: TrainConf = option(TrainConf(), "the loop")
    seeds: list[int] = option([0], "trained side by side in one stack, each as if alone")
    stack: dict[str, Any] = option({}, "grid points in one process, e.g. {agent.eta: [0,1,10]}")
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    out: str = option("runs/${slug:${dataset.source}}-${agent.label}", "run folder")
    resume: bool = option(False, "continue the run in `out` from its checkpoint")
    overwrite: bool = option(False, "replace a run that is already in `out`")


def keywords(conf: Any, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a configuration as constructor arguments: names as they are, lists as tuples.

    `name`, `label` and `_target_` say what to construct rather than how, and are left out.
    """
    skip = {"name", "label", "_target_", *without}
    values = {f.name: getattr(conf, f.name) for f in fields(conf) if f.name not in skip}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
