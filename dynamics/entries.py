"""Entries of a cache folder: what was fitted once is loaded from then on, by this process and by others."""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mbrl.core.errors import CheckpointError
from mbrl.core.locks import held

Fitted = TypeVar("Fitted")


def key_of(identity: Mapping[str, Any]) -> str:
    """20 hex digits of everything that decides a fit."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def fitted_once(
    entry: Path,
    *,
    fit: Callable[[], Fitted],
    save: Callable[[Path, Fitted], object],
    load: Callable[[Path], Fitted],
) -> Fitted:
    """load(entry), or where there is no such entry fit(), saved there.

    Of several processes that want the same entry one fits and the others wait for it; it appears in one rename, so
    that an interrupted fit leaves none behind. Raises CheckpointError where the folder cannot be written, and
    what fit, save and load raise.
    """
    # Without file locks two fits may run side by side; the second is dropped.
    with held(entry.with_name(entry.name + ".lock"), partial(_say_waiting, entry)):
        if not entry.is_dir():
            fitted = fit()
            if _publish(entry, lambda folder: save(folder, fitted)):
                return fitted
    return load(entry)


def _publish(entry: Path, save: Callable[[Path], object]) -> bool:
    """Save beside and rename into place; False if another process got there first, whose entry then stands."""
    private = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", dir=entry.parent))
    try:
        save(private / "model")
        (private / "model").rename(entry)
    except OSError as error:
        if not entry.is_dir():
            raise CheckpointError(f"{entry}: cannot write to the cache ({error})") from error
        return False
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return True


def _say_waiting(entry: Path) -> None:
    print(f"waiting for another process that is fitting {entry.name}", file=sys.stderr, flush=True)
