"""What may differ between the parts of one run: its length and where it looks, never what it learns."""

from mbrl.conf.files import CACHES, MAY_DIFFER, differences
from mbrl.conf.schema import Config
from mbrl.core.errors import MismatchError

LOOKS = (
    "train.eval_every",
    "train.eval_episodes",
    "train.eval_max_steps",
    "train.bias_states",
    "train.bias_horizon",
    "train.log_every",
)
SAVES = ("train.checkpoint_every", *CACHES)
RUNS = ("train.accelerate", "dynamics.threads")


def check_resume(config: Config, before: Config) -> None:
    """Raise MismatchError naming the options in which a run to be continued would change what it learns.

    Its length, how often it looks and saves, device, threads and how updates run, and the
    cache of models may change.
    """
    changed = differences(config, before, ignore={*MAY_DIFFER, *LOOKS, *SAVES, *RUNS})
    if changed:
        raise MismatchError(f"{config.out} cannot be resumed with other settings: {'; '.join(changed)}")
