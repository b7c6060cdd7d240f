"""Errors a user can act on: each names the file, key, row or option at fault, and what would be right."""

import difflib
from collections.abc import Iterable, Mapping


class MbrlError(Exception):
    """Base of every error this project raises on purpose."""


class DataError(MbrlError, ValueError):
    """A dataset, file or array that cannot be used as it is."""


class ConfigError(MbrlError, ValueError):
    """An option with an unknown name, a wrong type or an impossible value."""


class MismatchError(MbrlError, ValueError):
    """Two parts that do not belong together, such as a model and a dataset of other dimensions."""


class CheckpointError(MbrlError, RuntimeError):
    """A saved artefact that is missing, damaged or from an incompatible run."""


class DivergenceError(MbrlError, ArithmeticError):
    """Training produced a value that is not finite, or grew past the stated bound.

    members: {place in the stack: diagnosis} of those that did, where they are known; the others are sound.
    """

    def __init__(self, message: str, *, members: Mapping[int, str] | None = None) -> None:
        super().__init__(message)
        self.members = dict(members or {})


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not in a registry: nearest names first, then all of them.

    >>> unknown_name("agent", "rval", ["ravl", "bc"])
    "unknown agent 'rval'; did you mean 'ravl'? known: bc, ravl"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names)}"
