"""Datasets that are made rather than read: game/<game>/<data>, of the polynomial games."""

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.datasets import OfflineDataset
from mbrl.dynamics.games.dataset import game_dataset

ROWS = 10_000
"""Joint actions of a game's dataset, where its name does not say."""


def game_from_name(name: str, env: EnvSpec | None) -> OfflineDataset:
    """The dataset game/<name>, name being <game>/<data> or <game>/<data>/<rows>; always the same rows.

    Raises ConfigError for another form, an unknown game or data, and for an environment: a game is its own.
    """
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts) or not all(part.isdecimal() for part in parts[2:]):
        raise ConfigError(
            f"dataset.source=game/{name}: write game/<game>/<data> or game/<game>/<data>/<rows>, such as "
            "game/sign_agreement/uniform"
        )
    if env is not None:
        raise ConfigError(f"dataset.env={env.id}: game/{name} is its own environment; leave dataset.env out")
    dataset = game_dataset(parts[0], parts[1], int(parts[2]) if len(parts) == 3 else ROWS, seed=0)
    print(dataset.summary(), flush=True)
    return dataset
