"""The adversarial model of a configuration."""

from mbrl.conf.schema import Config, RamboConf
from mbrl.core.errors import ConfigError
from mbrl.core.types import Dynamics
from mbrl.datasets import OfflineDataset
from mbrl.dynamics import Ensemble
from mbrl.dynamics.adversarial import AdversarialModel

ADVERSARY = ("adv_weight", "model_every", "model_updates", "model_lr", "model_batch_size", "sum_over_batch")
"""Options of source=rambo that the buffer does not need."""


def adversary_from_config(config: Config, dataset: OfflineDataset, dynamics: Dynamics) -> AdversarialModel:
    """A copy of the fitted ensemble for every seed, to be trained against its agent.

    It keeps fitting the rows that the fit was given, with the fit's own weight of the bounds and decay. Raises
    ConfigError for a model that is no ensemble.
    """
    conf: RamboConf = config.source
    if not isinstance(dynamics, Ensemble):
        raise ConfigError(
            f"source=rambo trains an ensemble, and dynamics={config.dynamics.name} is a {type(dynamics).__name__}"
        )
    return AdversarialModel(
        dynamics,
        dataset.with_successor(),
        seeds=tuple(config.seeds),
        horizon=conf.horizon,
        adv_weight=conf.adv_weight,
        updates=conf.model_updates,
        lr=conf.model_lr,
        batch_size=conf.model_batch_size,
        sum_over_batch=conf.sum_over_batch,
        logvar_coef=config.dynamics.logvar_coef,
        progress=config.train.progress,
    )
