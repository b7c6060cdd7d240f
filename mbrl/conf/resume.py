"""What may differ between the parts of one run: its length and where it looks, never what it learns."""

from dataclasses import asdict

from mbrl.conf.schema import Config
from mbrl.core.errors import MismatchError

WHAT_IS_LEARNED = ("dataset", "dynamics", "penalty", "source", "agent", "seeds")
HOW_LONG = (
    "updates",
    "eval_every",
    "eval_episodes",
    "eval_max_steps",
    "log_every",
    "checkpoint_every",
    "progress",
)


def check_resume(config: Config, before: Config) -> None:
    """Raise MismatchError naming the options in which a run to be continued would change what it learns.

    Its length, and how often it looks and saves, may change; the device and the folders of caches, too.
    """
    ours, theirs = (asdict(c) for c in (config, before))
    for options in (ours, theirs):
        options["dynamics"].pop("cache", None)
        options["learning"] = {k: v for k, v in options["train"].items() if k not in HOW_LONG}
    changed = [
        f"{part}: {theirs[part]} before, {ours[part]} now"
        for part in (*WHAT_IS_LEARNED, "learning")
        if ours[part] != theirs[part]
    ]
    if changed:
        raise MismatchError(f"{config.out} cannot be resumed with other settings; {'; '.join(changed)}")
