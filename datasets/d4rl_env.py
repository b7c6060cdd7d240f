"""Data from a d4rl environment object, for those who have that package installed."""

from typing import Any

from mbrl.core.errors import DataError
from mbrl.datasets.assemble import assemble
from mbrl.datasets.binding import d4rl_env
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.locate import local_id
from mbrl.datasets.names import REFERENCES
from mbrl.datasets.record import record_from


def from_d4rl_env(env: Any, **options: Any) -> OfflineDataset:
    """The dataset of an environment made by `gym.make("hopper-medium-v2")` with d4rl imported.

    Uses env.get_dataset(), env.spec.id and the step limit. What d4rl's qlearning_dataset would make of it is
    not used, since that takes the first state of the next episode for the successor of a terminal one. The
    evaluation environment is Gymnasium's, by the dataset's name. options: see `assemble`; pass env=EnvSpec(...)
    to bind another.

    Raises DataError if this is no such object, or for unusable data.
    """
    if not callable(getattr(env, "get_dataset", None)):
        raise DataError(f"{type(env).__name__} has no get_dataset(); expected an environment made by d4rl")
    name = getattr(getattr(env, "spec", None), "id", None) or "d4rl-env"
    known = name in REFERENCES
    notes = () if known else (f"{name!r} is not one of D4RL's datasets: no reference scores, no environment",)
    columns = env.get_dataset()
    options.setdefault("max_episode_steps", _step_limit(env))
    return assemble(
        record_from(columns, f"{name}.get_dataset()"),
        id=f"d4rl/{name}" if known else local_id(name),
        recorded_env=d4rl_env(name) if known else None,
        notes=notes,
        **options,
    )


def _step_limit(env: Any) -> int | None:
    spec_limit = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    return getattr(env, "_max_episode_steps", None) or spec_limit
