"""The divergence guard: values that are not finite, or beyond every plausible scale, end a run with a diagnosis."""

from collections.abc import Sequence

from mbrl.core.errors import DivergenceError
from mbrl.core.log import Row

WATCHED = ("critic/q_mean", "critic/q_max", "critic/loss")


def check(rows: Sequence[Row], q_limit: float | None) -> None:
    """Raise DivergenceError naming seed, update, figure and likely cause.

    rows: one a seed as MetricsLog writes them, null where a figure was not finite. Figures under reach/ may be
    null: a depth without rows has no mean. q_limit bounds |critic/q_mean|; None for no bound.
    """
    for row in rows:
        where = f"seed {row['seed']}, update {row['update']}"
        broken = [k for k, v in row.items() if v is None and not k.startswith(("reach/", "eval/"))]
        if broken:
            figures = ", ".join(f"{k} {row[k]:.4g}" for k in WATCHED if row.get(k) is not None)
            raise DivergenceError(
                f"{where}: {', '.join(broken)} not finite" + (f" ({figures})" if figures else "")
            )
        q = row.get("critic/q_mean")
        if q_limit is not None and q is not None and abs(q) > q_limit:
            raise DivergenceError(
                f"{where}: mean Q is {q:.4g}, beyond train.q_limit={q_limit:g}; rising values on model rollouts "
                "are the mark of edge-of-reach bootstrapping (more critics or a larger eta hold them down)"
            )
