"""Ranges of single values: what a number in a configuration may be."""

from collections.abc import Callable
from typing import Any, NamedTuple

from mbrl.conf import schema
from mbrl.conf import schema_joint as joint


class Rule(NamedTuple):
    """A condition on one value, and how to say it."""

    holds: Callable[[Any], bool]
    text: str


def at_least(low: float) -> Rule:
    """x >= low."""
    return Rule(lambda x: x >= low, f"at least {low}")


def at_most(high: float) -> Rule:
    """x <= high."""
    return Rule(lambda x: x <= high, f"at most {high}")


def above(low: float) -> Rule:
    """x > low."""
    return Rule(lambda x: x > low, f"more than {low}")


def within(low: float, high: float, *, low_open: bool = False, high_open: bool = False) -> Rule:
    """low <= x <= high, either end optionally excluded."""
    text = f"in {'(' if low_open else '['}{low}, {high}{')' if high_open else ']'}"
    return Rule(
        lambda x: (low < x if low_open else low <= x) and (x < high if high_open else x <= high), text
    )


def each(rule: Rule) -> Rule:
    """A list with at least one entry, every one of which satisfies the rule."""
    return Rule(lambda xs: len(xs) > 0 and all(map(rule.holds, xs)), f"a list with every entry {rule.text}")


def interval() -> Rule:
    """[low, high]."""
    return Rule(lambda xs: len(xs) == 2 and xs[0] < xs[1], "two numbers, the lower first")


COUNT = at_least(1)
RATE = above(0)
SYNTHETIC = {"starts": COUNT, "refresh_every": COUNT, "retain": COUNT}
SAC = {
    "num_critics": COUNT,
    "eta": at_least(0),
    "hidden": each(COUNT),
    "gamma": within(0, 1),
    "tau": within(0, 1, low_open=True),
    "actor_lr": RATE,
    "actor_lr_cosine": COUNT,
    "critic_lr": RATE,
    "alpha_lr": RATE,
    "pretrain_epochs": at_least(0),
    "pretrain_lr": RATE,
    "alpha": above(0),
    "alpha_max": above(0),
    "log_std_bounds": interval(),
}
CODA = {
    **SYNTHETIC,
    "segment": COUNT,
    "weight": at_least(0),
    "width": RATE,
    "sampling_steps": COUNT,
    "order": within(1, 2),
    "churn": at_least(0),
}
MATD3 = {
    "hidden": each(COUNT),
    "num_critics": COUNT,
    "gamma": within(0, 1),
    "tau": within(0, 1, low_open=True),
    "actor_lr": RATE,
    "critic_lr": RATE,
    "policy_noise": at_least(0),
    "noise_clip": at_least(0),
    "policy_delay": COUNT,
}
CQL = {"cql_weight": at_least(0), "temperature": RATE, "repeats": COUNT, "cql_width": RATE}
RULES: dict[type, dict[str, Rule]] = {
    schema.EnsembleConf: {
        "members": COUNT,
        "elites": COUNT,
        "hidden": each(COUNT),
        "lr": RATE,
        "batch_size": COUNT,
        "weight_decay": each(at_least(0)),
        "logvar_init": interval(),
        "logvar_coef": at_least(0),
        "holdout_fraction": within(0, 1, low_open=True, high_open=True),
        "holdout_max": COUNT,
        "improvement": within(0, 1, high_open=True),
        "patience": COUNT,
        "max_epochs": COUNT,
    },
    schema.TrueDynamicsConf: {"threads": COUNT},
    schema.InterpolatedConf: {"threads": COUNT, "weight": within(-1, 1)},
    schema.RewardPenaltyConf: {"coefficient": at_least(0)},
    schema.MorelConf: {
        "threshold": at_least(0),
        "coefficient": at_least(0),
        "kappa": at_least(0),
        "offset": at_most(0),
    },
    schema.ConstantEdgeConf: {"cost": at_least(0)},
    schema.OracleEdgeConf: {"rollouts": COUNT, "horizon": COUNT},
    schema.RolloutConf: {**SYNTHETIC, "horizon": COUNT},
    schema.RamboConf: {
        **SYNTHETIC,
        "horizon": COUNT,
        "adv_weight": at_least(0),
        "model_every": COUNT,
        "model_updates": at_least(0),
        "model_lr": RATE,
        "model_batch_size": COUNT,
    },
    schema.CustomSourceConf: SYNTHETIC,
    joint.CodaConf: CODA,
    joint.CodaRolloutConf: {**CODA, "horizon": COUNT},
    joint.DiffusionConf: {
        "width": COUNT,
        "depth": COUNT,
        "steps": COUNT,
        "batch_size": COUNT,
        "lr": RATE,
        "ema": within(0, 1, high_open=True),
        "holdout_fraction": within(0, 1, low_open=True, high_open=True),
        "seed": at_least(0),
    },
    joint.PjapConf: {**SYNTHETIC, "steepness": at_least(0), "floor": within(0, 1, low_open=True)},
    schema.SacConf: SAC,
    schema.MobileConf: {**SAC, "beta": at_least(0), "samples": COUNT},
    schema.ComboConf: {**SAC, "cql_weight": at_least(0), "temperature": RATE, "repeats": COUNT},
    joint.MatD3BcConf: {**MATD3, "alpha": at_least(0), "bc_weight": at_least(0)},
    joint.MaddpgCqlConf: {**MATD3, **CQL},
    joint.OmarConf: {
        **MATD3,
        **CQL,
        "coefficient": within(0, 1),
        "iterations": COUNT,
        "samples": COUNT,
        "elites": COUNT,
        "beta": RATE,
        "initial_std": RATE,
    },
    joint.MasacConf: {
        name: rule for name, rule in SAC.items() if name in joint.MasacConf.__dataclass_fields__
    },
    joint.JointBcConf: {"hidden": each(COUNT), "lr": RATE},
    schema.BcConf: {"hidden": each(COUNT), "lr": RATE},
    schema.TrainConf: {
        "updates": COUNT,
        "batch_size": COUNT,
        "real_ratio": within(0, 1),
        "eval_every": COUNT,
        "eval_episodes": COUNT,
        "eval_max_steps": COUNT,
        "bias_states": at_least(0),
        "bias_horizon": COUNT,
        "log_every": COUNT,
        "checkpoint_every": COUNT,
        "q_limit": RATE,
    },
}
"""Ranges by schema and field; a field that is null is not checked, and no number may be inf or nan."""
