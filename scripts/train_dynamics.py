"""Fit the dynamics model alone, or find it in the cache, and say how well it predicts.

    python scripts/train_dynamics.py dataset=d4rl/hopper-medium-v2

It takes the options of train.py, so that train.py with the same ones finds the fitted model; what concerns
the agent is ignored.
"""

from mbrl.conf.cli import run_cli
from mbrl.conf.schema import Config


def fit(config: Config) -> None:
    """Fit as configured, into dynamics.cache."""
    from mbrl.core.device import pick_device
    from mbrl.run.build import dataset_from_config, dynamics_from_config

    device = pick_device(config.device)
    dynamics_from_config(config, dataset_from_config(config), device)


if __name__ == "__main__":
    run_cli(fit, about=__doc__)
