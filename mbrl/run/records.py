"""What a stack leaves on disk: rows, checkpoints and results, as one ordinary run folder for each of its points."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbrl.core.checkpoint import Tree, flatten, save_tree, unflatten
from mbrl.core.log import MetricsLog, Row
from mbrl.core.slices import is_stacked
from mbrl.run.frozen import End
from mbrl.run.result import write_result, write_summary


@dataclass(frozen=True)
class Point:
    """A run of the stack: its folder, its seeds, and the place in the stack of the first of them."""

    folder: Path
    seeds: tuple[int, ...]
    first: int = 0

    @property
    def places(self) -> range:
        """Of its members, in the stack."""
        return range(self.first, self.first + len(self.seeds))

    def ends(self, ends: Mapping[int, End]) -> dict[int, End]:
        """{place among its own members: end} of those that have one."""
        return {i: ends[place] for i, place in enumerate(self.places) if place in ends}

    def cut(self, tree: Tree, meta: Mapping[str, Any], size: int) -> tuple[Tree, dict[str, Any]]:
        """Its share of a checkpoint of the whole stack of `size` members: that of the run it is by itself."""
        mine = slice(self.places.start, self.places.stop)
        share = {name: x[mine] if is_stacked(x, size) else x for name, x in flatten(tree).items()}
        own = {name: value for name, value in meta.items() if name != "frozen"} | {"seeds": list(self.seeds)}
        ends = self.ends({int(place): end for place, end in meta.get("frozen", {}).items()})
        frozen = {"frozen": {str(i): end for i, end in ends.items()}} if ends else {}
        return unflatten(share), own | frozen


class Records:
    """The folder of the whole, whose checkpoint a resumed stack goes on from, and its points' folders.

    A run by itself is its only point, in the same folder.
    """

    def __init__(self, folder: Path, points: Sequence[Point]) -> None:
        self.folder, self.points = folder, tuple(points)
        self.single = [point.folder for point in points] == [folder]
        self.logs: list[MetricsLog] = []

    def open(self, keep: int | None) -> None:
        """Begin to log; see MetricsLog. Raises ConfigError for a folder that cannot be written."""
        self.logs = [MetricsLog(point.folder, point.seeds, keep=keep) for point in self.points]
        # What an earlier part of the run came to is no longer true while this one is under way.
        for folder in (self.folder, *(point.folder for point in self.points)):
            (folder / "result.json").unlink(missing_ok=True)

    def append(self, rows: Sequence[Row], without: Collection[int]) -> None:
        """Log the rows, one a member, of all but the members at the places in `without`."""
        for point, log in zip(self.points, self.logs, strict=True):
            log.append([rows[place] for place in point.places if place not in without])

    def close(self) -> None:
        """Flush and close the logs."""
        for log in self.logs:
            log.close()

    def save(self, name: str, tree: Tree, meta: Mapping[str, Any], of: Collection[int] | None = None) -> None:
        """Save a checkpoint: the whole in one step, then each point's share, or those of members at places in `of`.

        A point that has no member left keeps the last one that was sound, as a run by itself does.
        """
        for log in self.logs:
            log.sync()  # a run that goes on from this checkpoint has no other copy of the rows before it
        save_tree(self.folder / name, tree, meta)
        if self.single:
            return
        # Off the device once, not once a point.
        tree = unflatten({k: v.detach().cpu() for k, v in flatten(tree).items()})
        size = sum(len(point.seeds) for point in self.points)
        for point in self.points:
            share, own = point.cut(tree, meta, size)
            wanted = of is None or any(place in of for place in point.places)
            if wanted and len(own.get("frozen", ())) < len(point.seeds):
                save_tree(point.folder / name, share, own)

    def conclude(self, status: str, ends: Mapping[int, End], **figures: Any) -> dict[str, Any]:
        """Write every result.json and return the whole's. figures: updates, seconds and dataset.

        A point of which no member is left has diverged, at the update at which its last one did.
        """
        results = {}
        for point in self.points:
            lost = {point.seeds[i]: end for i, end in point.ends(ends).items()}
            own = {**figures, "status": status, "seeds": point.seeds, "diverged": lost}
            if len(lost) == len(point.seeds):
                own |= {"status": "diverged", "updates": max(end["update"] for end in lost.values())}
            results[point.folder.name] = write_result(point.folder, **own)
        if self.single:
            return results[self.folder.name]
        statuses = {name: result["status"] for name, result in results.items()}
        return write_summary(self.folder, status=status, points=statuses, **figures)

    def diagnosis(self, ends: Mapping[int, End]) -> str:
        """Why all members ended, each reason once."""
        texts = [self.named(place, end["diagnosis"]) for place, end in sorted(ends.items())]
        return "; ".join(dict.fromkeys(texts))

    def named(self, place: int, text: str) -> str:
        """The text with the name of the point that the member at `place` belongs to, where there are several."""
        (point,) = (point for point in self.points if place in point.places)
        return text if self.single else f"{point.folder.name}, {text}"
