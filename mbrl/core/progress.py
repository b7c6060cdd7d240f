"""One progress bar for all long work: rate, time left, and a few live figures."""

import sys
from typing import Any

from tqdm import tqdm


def progress(
    total: int | None, description: str, *, initial: int = 0, enabled: bool = True, **options: Any
) -> tqdm:
    """A tqdm bar on stderr. Without a terminal it prints a line every 30 seconds rather than none.

    enabled=False gives a bar that counts silently, so that callers need no branch.
    """
    if not sys.stderr.isatty():
        options.setdefault("mininterval", 30)
    return tqdm(
        total=total, desc=description, initial=initial, disable=not enabled, dynamic_ncols=True, **options
    )


def duration(seconds: float | None) -> str:
    """Seconds, minutes, hours or days, whichever reads well; ? where it is not known."""
    if seconds is None:
        return "?"
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86400:.3g} d"
