"""Which options each configuration group has, the user's own (--config-dir) included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from mbrl.conf.store import CONFIG_PATH, INTERNAL, register
from mbrl.core.errors import ConfigError

VERSION_BASE = "1.3"


@contextmanager
def config_loader(config_dir: str | None = None) -> Iterator[ConfigLoader]:
    """Hydra's loader over our groups and the user's folder, as `hydra.main` would set it up.

    Raises ConfigError if config_dir is not a folder.
    """
    register()
    version.setbase(VERSION_BASE)
    path = create_config_search_path(CONFIG_PATH)
    if config_dir is not None:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {config_dir!r} is not a folder")
        path.prepend("command-line", f"file://{folder}", anchor=SearchPathQuery(provider="schema"))
    current = GlobalHydra.instance()
    before, current.hydra = current.hydra, None
    try:
        Hydra.create_main_hydra2(task_name="run", config_search_path=path)
        yield current.config_loader()
    finally:
        current.hydra = before


def options(loader: ConfigLoader, group: str) -> list[str]:
    """The options of a group, those in sub-folders as folder/option."""
    found = list(loader.get_group_options(group, ObjectType.CONFIG))
    for child in loader.get_group_options(group, ObjectType.GROUP):
        found += [f"{child}/{name}" for name in options(loader, f"{group}/{child}")]
    return sorted(found)


def group_names(loader: ConfigLoader) -> list[str]:
    """Every group a user can choose from."""
    return [name for name in loader.list_groups("") if name not in INTERNAL]


def all_choices(config_dir: str | None = None) -> dict[str, list[str]]:
    """Every group with its options, e.g. {"agent": ["bc", "custom", ...], "dataset": [...], ...}."""
    with config_loader(config_dir) as loader:
        return {name: options(loader, name) for name in group_names(loader)}
