"""The penalty of a configuration: on the reward, or MOReL's end of a rollout."""

from collections.abc import Callable
from functools import partial

from mbrl.conf.schema import Config, MorelConf, RewardPenaltyConf
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import Dynamics, Penalty, Transitions
from mbrl.dynamics import Ensemble
from mbrl.dynamics.penalties import MoreL, RewardPenalty, discrepancy_on
from mbrl.dynamics.uncertainty import Measure, ensemble_std, max_aleatoric, max_pairwise_diff
from mbrl.run.rollout import no_penalty


def penalty_from_config(config: Config, data: Transitions, dynamics: Dynamics) -> Penalty:
    """What rollouts in `dynamics` from states of `data` [n, ...], on its device, are to be penalised with."""
    if config.penalty.name not in PENALTIES:
        raise ConfigError(unknown_name("penalty.name", config.penalty.name, PENALTIES))
    return PENALTIES[config.penalty.name](config, data, dynamics)


def _none(config: Config, data: Transitions, dynamics: Dynamics) -> Penalty:
    return no_penalty


def _reward(measure: Measure, config: Config, data: Transitions, dynamics: Dynamics) -> RewardPenalty:
    conf: RewardPenaltyConf = config.penalty
    return RewardPenalty(measure, conf.coefficient, members=conf.members, dims=conf.dims)


def _morel(config: Config, data: Transitions, dynamics: Dynamics) -> MoreL:
    """Threshold and kappa as given, else from the data: a multiple of the largest discrepancy, one a seed where
    each has a model of its own, and the smallest reward with `offset` added."""
    conf: MorelConf = config.penalty
    counted = {"members": conf.members, "dims": conf.dims}
    threshold, kappa = conf.threshold, conf.kappa
    if threshold is None:
        # A model shared by the seeds disagrees with itself alike for all of them.
        seeds = dynamics.seeds if isinstance(dynamics, Ensemble) else config.seeds
        largest = discrepancy_on(dynamics, data, seeds=seeds, **counted).amax(dim=-1)
        threshold = conf.coefficient * largest
        print(f"  morel        largest discrepancy on the data {_listed(largest.tolist())}")
    if kappa is None:
        kappa = -(data.reward.min().item() + conf.offset)
    shown = _listed(threshold.tolist() if hasattr(threshold, "tolist") else [threshold])
    print(f"  morel        reward {-kappa:.4g} and the end of a rollout where it exceeds {shown}")
    return MoreL(threshold, kappa, **counted)


def _listed(values: list[float]) -> str:
    return ", ".join(f"{v:.4g}" for v in values)


PENALTIES: dict[str, Callable[[Config, Transitions, Dynamics], Penalty]] = {
    "none": _none,
    "mopo_aleatoric": partial(_reward, max_aleatoric),
    "mopo_pairwise": partial(_reward, max_pairwise_diff),
    "mopo_std": partial(_reward, ensemble_std),
    "morel": _morel,
}
"""Every penalty by the name a configuration gives it."""
