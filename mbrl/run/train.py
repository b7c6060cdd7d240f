"""The loop: refresh the synthetic rows, sample a batch, update, now and then look, log and save."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.core.checkpoint import exists, flatten, load_tree, save_tree, unflatten
from mbrl.core.errors import ConfigError, DivergenceError, MismatchError
from mbrl.core.log import MetricsLog
from mbrl.core.progress import progress
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent
from mbrl.run import guard
from mbrl.run.experience import MixedData, RealData
from mbrl.run.interrupt import StopRequest
from mbrl.run.probe import HasValues, reach_probe
from mbrl.run.result import write_result

Metrics = dict[str, Tensor]


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
    """S stacked runs in one folder. Looking, logging and saving never change what is learned."""

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
    ) -> None:
        """dataset: identity for result.json and the checkpoint, {"id", "sha256", "transitions"}.

        evaluate: (agent, update) -> metrics [S]. resume: continue from <folder>/checkpoint if there is one;
        raises MismatchError if that belongs to other seeds, another dataset or another agent.
        """
        self.folder, self.agent, self.experience, self.schedule = Path(folder), agent, experience, schedule
        self.seeds, self.dataset, self.evaluate, self.device = tuple(seeds), dict(dataset), evaluate, device
        self.streams = Streams(seeds, "train", device)
        self.update, self.seconds = 0, 0.0
        self.sums: Metrics = {}
        self.summed = 0
        self.refreshed: Metrics = {}
        self.resumed = resume and exists(self.folder / "checkpoint")
        if self.resumed:
            self._load()

    def run(self) -> dict[str, Any]:
        """Train to the end, a stop request or divergence; returns what result.json then holds.

        Raises DivergenceError after writing the result: <folder>/checkpoint is the last good state, and
        <folder>/checkpoint-diverged the state in which it stopped. Raises ConfigError, before any work, if the
        folder cannot be written.
        """
        total, began = self.schedule.updates, time.perf_counter() - self.seconds
        self.log = MetricsLog(self.folder, self.seeds, keep=self.update if self.resumed else None)
        # What an earlier part of the run came to is no longer true while this one is under way.
        (self.folder / "result.json").unlink(missing_ok=True)
        bar = progress(total, "train", initial=self.update, enabled=self.schedule.progress, unit="update")
        failure = None
        try:
            with StopRequest() as stop:
                self._loop(bar, stop, began)
            status = "finished" if self.update >= total else "interrupted"
        except DivergenceError as error:
            status, failure = "diverged", error
            self._save("checkpoint-diverged", began)
        finally:
            bar.close()
            self.log.close()
        result = write_result(
            self.folder,
            status=status,
            updates=self.update,
            seeds=self.seeds,
            seconds=time.perf_counter() - began,
            dataset=self.dataset,
            diagnosis=str(failure) if failure else None,
        )
        if failure:
            raise failure
        return result

    def _loop(self, bar: Any, stop: StopRequest, began: float) -> None:
        plan = self.schedule
        if not self.resumed:
            self._look(bar, evaluate=True)
            self._save("checkpoint", began)
        saved = self.update
        while self.update < plan.updates and not stop.requested:
            self._step()
            bar.update()
            self._look(bar, evaluate=self.update % plan.eval_every == 0 or self.update == plan.updates)
            if self.update % plan.checkpoint_every == 0:
                self._save_sound(began)
                saved = self.update
        if saved != self.update:
            self._save_sound(began)

    def _step(self) -> None:
        """One update, its metrics added to the running sums on the device."""
        every = self.experience.refresh_every
        if every and self.update % every == 0:
            self.refreshed = self.experience.refresh(self.agent, self.streams)
        metrics = self.agent.update(self.experience.sample(self.streams), self.streams)
        self.update += 1
        if self.summed:
            # By name: sums that come from a checkpoint are in the file's order, not the agent's.
            torch._foreach_add_([self.sums[name] for name in metrics], list(metrics.values()))
        else:
            self.sums = {k: v.clone() for k, v in metrics.items()}
        self.summed += 1

    def _look(self, bar: Any, *, evaluate: bool) -> None:
        """Evaluate and log where it is due; raises DivergenceError."""
        due = self.summed and (self.update % self.schedule.log_every == 0 or evaluate)
        metrics: Metrics = {}
        if due:
            metrics |= self._means() | self.refreshed
            self.summed = 0
            if isinstance(self.agent, HasValues):
                probe = Streams(self.seeds, f"probe.{self.update}", self.device)
                metrics |= reach_probe(self.agent, self.experience, probe)
        if metrics:
            guard.check(self.log.write(self.update, metrics), self.schedule.q_limit)
        if evaluate and self.evaluate:
            rows = self.log.write(self.update, self.evaluate(self.agent, self.update))
            returns = [row.get("eval/return") for row in rows]
            bar.set_postfix_str("return " + " ".join("-" if r is None else f"{r:.0f}" for r in returns))

    def _means(self) -> Metrics:
        """Averages over the updates since the last look."""
        return {k: v / self.summed for k, v in self.sums.items()}

    def _save_sound(self, began: float) -> None:
        """Save, unless an update since the last look was not finite; raises DivergenceError then.

        So <folder>/checkpoint is good even where checkpoints are more frequent than looks.
        """
        if self.summed:
            guard.check(self.log.rows(self.update, self._means()), self.schedule.q_limit)
        self._save("checkpoint", began)

    def _save(self, name: str, began: float) -> None:
        # Metric names hold a slash, which a checkpoint reads as nesting.
        tree = {
            "agent": self.agent.state_dict(),
            "experience": self.experience.state_dict(),
            "streams": self.streams.state_dict(),
            "sums": unflatten(self.sums if self.summed else {}),
            "refreshed": unflatten(self.refreshed),
        }
        meta = {"update": self.update, "seconds": time.perf_counter() - began, "summed": self.summed}
        save_tree(self.folder / name, tree, meta | {"seeds": self.seeds, "dataset": self.dataset})

    def _load(self) -> None:
        tree, meta = load_tree(self.folder / "checkpoint")
        for key, mine in (("seeds", list(self.seeds)), ("dataset", self.dataset)):
            if meta[key] != mine:
                raise MismatchError(
                    f"{self.folder}/checkpoint was made with {key} {meta[key]}, this run has {mine}"
                )
        misfit = f"{self.folder}/checkpoint does not fit the agent or the buffer of this run"
        try:
            self.agent.load_state_dict(tree.get("agent", {}))
            self.experience.load_state_dict(tree.get("experience", {}))
        except (KeyError, ValueError, RuntimeError) as error:
            raise MismatchError(f"{misfit}: {error}") from error
        unknown = flatten(tree.get("agent", {})).keys() - flatten(self.agent.state_dict()).keys()
        if unknown:
            raise MismatchError(f"{misfit}, which has no {sorted(unknown)[0]}: was it another kind of agent?")
        self.streams.load_state_dict(tree["streams"])
        for name in ("sums", "refreshed"):
            setattr(self, name, {k: v.to(self.device) for k, v in flatten(tree.get(name, {})).items()})
        self.update, self.seconds, self.summed = meta["update"], meta["seconds"], meta["summed"]
