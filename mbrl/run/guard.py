"""The divergence guard: what is not finite, or beyond every plausible scale, ends a seed with a diagnosis."""

from collections.abc import Sequence

from mbrl.core.log import Row

WATCHED = ("critic/q_mean", "critic/q_max", "critic/loss")


def diverged(rows: Sequence[Row], q_limit: float | None) -> dict[int, str]:
    """{place: diagnosis} of the rows that show divergence: seed, update, figure and likely cause; {} if none does.

    rows: one a member of the stack as `rows_of` makes them, null where a figure was not finite. Figures under
    reach/ and eval/ may be null: a depth without rows has no mean. q_limit bounds |critic/q_mean|; None: no bound.
    """
    found = {place: diagnosis(row, q_limit) for place, row in enumerate(rows)}
    return {place: text for place, text in found.items() if text is not None}


def diagnosis(row: Row, q_limit: float | None) -> str | None:
    """What is wrong with one row; None where nothing is."""
    where = f"seed {row['seed']}, update {row['update']}"
    broken = [k for k, v in row.items() if v is None and not k.startswith(("reach/", "eval/"))]
    if broken:
        figures = ", ".join(f"{k} {row[k]:.4g}" for k in WATCHED if row.get(k) is not None)
        return f"{where}: {', '.join(broken)} not finite" + (f" ({figures})" if figures else "")
    q = row.get("critic/q_mean")
    if q_limit is not None and q is not None and abs(q) > q_limit:
        return (
            f"{where}: mean Q is {q:.4g}, beyond train.q_limit={q_limit:g}; rising values on model rollouts "
            "are the mark of edge-of-reach bootstrapping (more critics or a larger eta hold them down)"
        )
    return None
