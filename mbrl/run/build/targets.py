"""A user's own class or function, by its dotted path."""

import importlib
from typing import Any

from mbrl.core.errors import ConfigError


def import_target(path: str) -> Any:
    """The object "package.module.name". Raises ConfigError if it cannot be imported."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"_target_ {path!r} cannot be imported ({error}); write package.module.Name"
        ) from error
