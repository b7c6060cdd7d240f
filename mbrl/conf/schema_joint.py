"""Schemas of what came with several agents: their learners, and sources that move with the joint policy."""

from dataclasses import dataclass

from mbrl.conf.schema import AgentConf, SourceConf, option


@dataclass
class PjapConf(SourceConf):
    """Rows of the data near the current joint policy (Tilbury et al. 2024, PJAP); numbers of the authors' code."""

    name: str = option("pjap", "which kind of source")
    steepness: float = option(
        4.0, "s in the priority exp(-(s d)^2) of a row at mean distance d (og-marl: 3.5, 4)"
    )
    floor: float = option(0.01, "no row's priority is less (og-marl)")
    starts: int = option(5000, "rows drawn at each refresh (ours)")
    refresh_every: int = option(100, "updates between refreshes (ours; og-marl: 10 updates, of a batch)")
    retain: int = option(1, "refreshes that the synthetic buffer keeps (ours)")


@dataclass
class DiffusionConf:
    """The diffusion model of trajectory segments and its fit. Numbers ours, for two cores, where not said."""

    network: str = option("attention", "mlp (one-step games), unet or attention (as good, and quicker)")
    width: int = option(64, "channels, or units of a layer")
    depth: int = option(3, "levels, or blocks")
    action_map: str = option("clip", "how actions stay in [-1, 1]: clip, or squash (PGD: arctanh)")
    steps: int = option(20_000, "gradient steps of the fit")
    batch_size: int = option(256, "segments in one of them")
    lr: float = option(1e-3, "Adam step size, falling to 0 along half a cosine")
    ema: float = option(0.999, "decay of the average whose weights are sampled with")
    holdout_fraction: float = option(0.05, "share of episodes kept out of the fit")
    seed: int = option(0, "of the initial weights and the fit: all seeds of a run share the model")
    cache: str = option("runs/diffusion", "folder where fitted models are kept and found again")


@dataclass
class CodaConf(SourceConf):
    """Segments of a diffusion model that follow the current joint policy (Hedman et al. 2026, CODA).

    Numbers ours, measured in docs/coda_games.md and docs/coda.md, where not said: the paper's are not public.
    """

    name: str = option("coda", "which kind of source")
    segment: int = option(8, "T, transitions of a segment; 1 for one-step games (PGD: 32 on D4RL)")
    weight: float = option(1.0, "lambda, how strongly samples follow the policy; 0: not at all")
    guide: str = option(
        "posterior", "how: noisy (PGD), denoised, noise_aware, posterior, conjugate or jacobian"
    )
    schedule: str = option("constant", "lambda by noise level: constant, ramp, damped or late")
    normalise: bool = option(False, "the policy's gradient has length 1 (PGD: true)")
    width: float = option(0.1, "deviation that deterministic policies are given")
    once: bool = option(False, "true: drawn once, at the first refresh, and kept (static augmentation)")
    sampling_steps: int = option(24, "noise levels of the sampler (EDM: 18 to 256; PGD: 256)")
    order: int = option(2, "1 Euler, 2 Heun (EDM)")
    churn: float = option(10.0, "S_churn, noise added along the way, so that rewards keep up (PGD: 80)")
    starts: int = option(500, "segments drawn at each refresh")
    refresh_every: int = option(1000, "M, updates between refreshes")
    retain: int = option(1, "refreshes that the synthetic buffer keeps")
    diffusion: DiffusionConf = option(DiffusionConf(), "the model")


@dataclass
class CodaRolloutConf(CodaConf):
    """The same, side by side with truncated rollouts of the joint policy in the model `dynamics`."""

    name: str = option("coda_rollout", "which kind of source")
    horizon: int = option(5, "k, model steps a rollout; as many rollouts as segments (RAVL)")


@dataclass
class MatD3Conf(AgentConf):
    """What multi-agent TD3 and its relatives share; numbers of TD3 (Fujimoto et al. 2018) and TD3+BC."""

    hidden: list[int] = option([256, 256], "widths of actors and critics (TD3+BC, OMAR)")
    critic: str = option("central", "what a critic sees: central, all agents; independent, its own")
    others: str = option("data", "whose actions an actor responds to: data, or the current policies")
    num_critics: int = option(2, "K, critics an agent (TD3)")
    gamma: float = option(0.99, "discount")
    tau: float = option(0.005, "step of the target networks (TD3)")
    actor_lr: float = option(3e-4, "Adam step size (TD3+BC)")
    critic_lr: float = option(3e-4, "Adam step size (TD3+BC)")
    policy_noise: float = option(0.2, "deviation of the noise on target actions (TD3)")
    noise_clip: float = option(0.5, "cut of that noise (TD3)")
    policy_delay: int = option(2, "critic updates per update of actors and targets (TD3)")


@dataclass
class MatD3BcConf(MatD3Conf):
    """Multi-agent TD3+BC (after Fujimoto and Gu 2021)."""

    name: str = option("matd3_bc", "key in mbrl.agents.multi.MULTI_AGENTS")
    alpha: float = option(2.5, "weight of Q against cloning (TD3+BC)")
    bc_weight: float = option(1.0, "weight of the cloning term (TD3+BC: 1; 0: multi-agent TD3)")


@dataclass
class MaddpgCqlConf(MatD3Conf):
    """MADDPG with CQL's regulariser, OMAR's baseline (Pan et al. 2022)."""

    name: str = option("maddpg_cql", "key in mbrl.agents.multi.MULTI_AGENTS")
    policy_noise: float = option(0.0, "deviation of the noise on target actions (MADDPG: none)")
    policy_delay: int = option(1, "critic updates per update of actors and targets (MADDPG)")
    cql_weight: float = option(1.0, "weight of the regulariser (OMAR's code: 1)")
    temperature: float = option(1.0, "softness of the maximum over actions (CQL)")
    repeats: int = option(10, "actions drawn at a state, of each kind (CQL)")
    cql_width: float = option(0.2, "deviation of actions drawn around the policy's (OMAR's code)")


@dataclass
class OmarConf(MaddpgCqlConf):
    """OMAR (Pan et al. 2022, arXiv 2111.11188): actors also regress on better actions found by sampling."""

    name: str = option("omar", "key in mbrl.agents.multi.MULTI_AGENTS")
    critic: str = option("independent", "what a critic sees (OMAR: independent)")
    coefficient: float = option(0.7, "weight of that regression against Q (og-marl; authors' code: 0.5 to 1)")
    sampler: str = option("elites", "how: elites or softmax (authors' code for MuJoCo, for particles)")
    iterations: int = option(2, "rounds of sampling (authors' code)")
    samples: int = option(20, "actions a round (authors' code)")
    elites: int = option(5, "best of them that the next round is drawn around (authors' code)")
    beta: float = option(1.0, "sharpness of the softmax (authors' code)")
    initial_std: float = option(2.0, "deviation of the first round (authors' code)")


@dataclass
class MasacConf(AgentConf):
    """Multi-agent SAC with K critics an agent; with diversity, RAVL's ensemble. Numbers as in SacConf."""

    name: str = option("masac", "key in mbrl.agents.multi.MULTI_AGENTS")
    hidden: list[int] = option([256, 256], "widths of actors and critics")
    critic: str = option("central", "what a critic sees: central, all agents; independent, its own")
    others: str = option("data", "whose actions an actor responds to: data, or the current policies")
    num_critics: int = option(10, "K, critics an agent (RAVL, EDAC)")
    eta: float = option(1.0, "weight of the gradient diversity term (EDAC, RAVL; 0: off)")
    gamma: float = option(0.99, "discount")
    tau: float = option(0.005, "step of the target networks (SAC)")
    actor_lr: float = option(3e-4, "Adam step size (EDAC, RAVL)")
    critic_lr: float = option(3e-4, "Adam step size (EDAC, RAVL)")
    alpha_lr: float = option(3e-4, "Adam step size of the temperatures (EDAC, RAVL)")
    auto_alpha: bool = option(True, "true: temperatures follow target_entropy; false: they stay at alpha")
    alpha: float = option(1.0, "temperature of every agent, at the start or throughout")
    alpha_max: float | None = option(None, "a larger temperature counts as this; null: no cap")
    target_entropy: float | None = option(None, "of every agent; null: minus its action dimension (SAC)")
    backup_entropy: bool = option(True, "targets count entropy (SAC)")
    log_std_bounds: list[float] = option([-5.0, 2.0], "clip of the policies' log deviation (EDAC, RAVL)")


@dataclass
class JointBcConf(AgentConf):
    """Behaviour cloning of every agent, the floor."""

    name: str = option("joint_bc", "key in mbrl.agents.multi.MULTI_AGENTS")
    hidden: list[int] = option([256, 256], "widths of the policies (as the other agents here)")
    lr: float = option(3e-4, "Adam step size (as the other agents here)")
