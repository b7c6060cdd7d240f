"""The loop: refresh the synthetic rows, sample a batch, update, now and then look, log and save."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mbrl.core.checkpoint import exists, load_tree, recover
from mbrl.core.errors import CheckpointError, ConfigError, DivergenceError, MismatchError
from mbrl.core.log import Row, rows_of
from mbrl.core.progress import progress
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent
from mbrl.run import guard
from mbrl.run.experience import MixedData, RealData
from mbrl.run.interrupt import StopRequest
from mbrl.run.learning import Learning, Metrics
from mbrl.run.probe import HasValues, reach_probe
from mbrl.run.records import Point, Records

NEEDED = {"update", "summed", "seconds", "seeds", "dataset"}
"""What the meta of a run's checkpoint holds."""


@dataclass(frozen=True)
class Schedule:
    """How long to train and how often to look; all in updates. Raises ConfigError for an interval below 1."""

    updates: int
    eval_every: int = 1000
    log_every: int = 1000
    checkpoint_every: int = 10_000
    q_limit: float | None = 1e7
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("eval_every", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: an interval is at least 1 update")


class Trainer:
    """S stacked runs: the seeds of one run, or of several grid points that have a run folder each.

    Looking, logging and saving never change what is learned.
    """

    def __init__(
        self,
        folder: Path | str,
        agent: Agent,
        experience: RealData | MixedData,
        schedule: Schedule,
        *,
        seeds: Sequence[int],
        dataset: Mapping[str, Any],
        evaluate: Callable[[Agent, int], Metrics] | None = None,
        device: torch.device | str = "cpu",
        resume: bool = False,
        accelerate: str = "eager",
        points: Sequence[Point] = (),
    ) -> None:
        """dataset: identity for result.json and the checkpoint, {"id", "sha256", "transitions"}.

        evaluate: (agent, update) -> metrics [S]; called again if it raises a DivergenceError that names members,
        once these are frozen. resume: continue from <folder>/checkpoint if there is one; raises MismatchError if
        that belongs to other seeds, another dataset or another agent. accelerate: a name in
        mbrl.core.accelerate.MODES, or auto. points: whose runs the stack is, `seeds` being theirs one after the
        other; none for one run in `folder` itself.
        """
        self.folder, self.schedule, self.evaluate = Path(folder), schedule, evaluate
        self.seeds, self.dataset, self.device = tuple(seeds), dict(dataset), device
        self.records = Records(self.folder, points or [Point(self.folder, self.seeds)])
        self.learning = Learning(agent, experience, self.seeds, device, accelerate)
        self.seconds = 0.0
        self.saved: int | None = None
        if resume and exists(self.folder / "checkpoint"):
            self._load()

    @property
    def update(self) -> int:
        """Updates done."""
        return self.learning.update

    def run(self) -> dict[str, Any]:
        """Train to the end, a stop request or the divergence of all; returns what <folder>/result.json then holds.

        A member that diverges is put back to <folder>/checkpoint, the last good state, and stays as it was there,
        while the others go on; <folder>/checkpoint-diverged is the state in which it was found. If none is left,
        raises DivergenceError after writing the results. Raises ConfigError, before any work, if a folder cannot
        be written.
        """
        total, self.began = self.schedule.updates, time.perf_counter() - self.seconds
        self.records.open(keep=self.saved)
        bar = progress(total, "train", initial=self.update, enabled=self.schedule.progress, unit="update")
        failure = None
        try:
            with StopRequest() as stop:
                self._loop(bar, stop)
            status = "finished" if self.update >= total else "interrupted"
        except DivergenceError as error:
            status, failure = "diverged", error
            self._end_all(error)
        finally:
            bar.close()
            self.records.close()
        ends, seconds = self.learning.frozen.ends, time.perf_counter() - self.began
        times = {"seconds": seconds, "refresh_seconds": self.learning.refresh_seconds}
        figures = {"updates": self.update, **times, "dataset": self.dataset}
        result = self.records.conclude(status, ends, **figures)
        if failure:
            raise DivergenceError(self.records.diagnosis(ends), members=failure.members) from failure
        return result

    def _loop(self, bar: Any, stop: StopRequest) -> None:
        plan = self.schedule
        if self.saved is None:
            self._look(bar, evaluate=True)
            self._save_sound()
        while self.update < plan.updates and not stop.requested:
            self._step()
            bar.update()
            self._look(bar, evaluate=self.update % plan.eval_every == 0 or self.update == plan.updates)
            if self.update % plan.checkpoint_every == 0:
                self._save_sound()
        if self.saved != self.update:
            self._save_sound()

    def _step(self) -> None:
        """New synthetic rows where they are due, and one update."""
        try:
            self.learning.refresh()
        except DivergenceError as error:
            if not error.members:
                raise
            self._freeze(error.members)
        self.learning.step()

    def _look(self, bar: Any, *, evaluate: bool) -> None:
        """Evaluate and log where it is due; freezes what it finds to have diverged."""
        learning = self.learning
        if learning.summed and (self.update % self.schedule.log_every == 0 or evaluate):
            metrics = learning.means() | learning.refreshed
            learning.summed = 0
            if isinstance(learning.agent, HasValues):
                probe = Streams(self.seeds, f"probe.{self.update}", self.device)
                metrics |= reach_probe(learning.agent, learning.experience, probe)
            self._freeze(guard.diverged(self._write(metrics), self.schedule.q_limit))
        if evaluate and self.evaluate:
            rows = self._write(self._evaluation())
            returns = [row.get("eval/return") for row in rows]
            bar.set_postfix_str(
                "return "
                + " ".join("-" if r is None else f"{r:.3g}" if abs(r) < 10 else f"{r:.0f}" for r in returns)
            )

    def _write(self, metrics: Metrics) -> list[Row]:
        """Log the rows of all members but the frozen; returns the rows of all."""
        rows = rows_of(self.update, metrics, self.seeds)
        self.records.append(rows, without=self.learning.frozen.ends)
        return rows

    def _evaluation(self) -> Metrics:
        """What `evaluate` says, once the members that keep it from saying it are frozen."""
        while True:
            try:
                return self.evaluate(self.learning.frozen.at_rest(self.learning.agent), self.update)
            except DivergenceError as error:
                fresh = error.members.keys() - self.learning.frozen.ends.keys()
                # The next try would end alike if there is nobody to freeze, or nothing to go back to.
                if not fresh or self.saved is None:
                    raise
                self._freeze(error.members)

    def _freeze(self, found: Mapping[int, str]) -> None:
        """Freeze the members {place: diagnosis} that are not frozen yet; DivergenceError if that leaves none."""
        ends = self.learning.frozen.ends
        fresh = {place: text for place, text in found.items() if place not in ends}
        if not fresh:
            return
        if len(ends) + len(fresh) == len(self.seeds):
            raise DivergenceError("; ".join(fresh.values()), members=fresh)
        self._save("checkpoint-diverged", of=fresh)
        self.learning.freeze(fresh, load_tree(self.folder / "checkpoint")[0])
        for place, text in fresh.items():
            text = self.records.named(place, text)
            print(f"  diverged     {text}; it stays as the last checkpoint has it, the others go on")

    def _end_all(self, error: DivergenceError) -> None:
        """Save what was found when no member was left, and note why each one ended."""
        self._save("checkpoint-diverged")
        for place in range(len(self.seeds)):
            end = self.learning.end(error.members.get(place, str(error)))
            self.learning.frozen.ends.setdefault(place, end)

    def _save_sound(self) -> None:
        """Save, once members are frozen whose updates since the last look were not all finite.

        So <folder>/checkpoint is good even where checkpoints are more frequent than looks.
        """
        if self.learning.summed:
            rows = rows_of(self.update, self.learning.means(), self.seeds)
            self._freeze(guard.diverged(rows, self.schedule.q_limit))
        self._save("checkpoint")
        self.saved = self.update

    def _save(self, name: str, of: Collection[int] | None = None) -> None:
        """Save the whole, and the shares of all points, or of those with a member in `of`."""
        tree, meta = self.learning.state()
        meta |= {"seconds": time.perf_counter() - self.began, "seeds": self.seeds, "dataset": self.dataset}
        self.records.save(name, tree, meta, of)

    def _load(self) -> None:
        where = self.folder / "checkpoint"
        recover(where)
        tree, meta = load_tree(where)
        if lacking := NEEDED - meta.keys():
            raise CheckpointError(
                f"{where}: not the checkpoint of a run, it lacks {', '.join(sorted(lacking))}"
            )
        for key, mine in (("seeds", list(self.seeds)), ("dataset", self.dataset)):
            if meta[key] != mine:
                raise MismatchError(f"{where} was made with {key} {meta[key]}, this run has {mine}")
        try:
            self.learning.load(tree, meta)
        except MismatchError as error:
            raise MismatchError(
                f"{where} does not fit the agent or the buffer of this run: {error}"
            ) from error
        self.seconds, self.saved = meta["seconds"], self.update
