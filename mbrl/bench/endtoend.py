"""A whole run, piece by piece: sampling, updates, refreshes, evaluation, logging and checkpoints."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import Tensor

from mbrl.bench.case import NAIVE, Candidate, Case, Floor, Plan
from mbrl.bench.evaluation import ENV, evaluator_for
from mbrl.bench.measure import clock
from mbrl.bench.modes import EXACT, Mode, at, forget_compiled
from mbrl.bench.naive_ensemble import NaiveEnsemble, naive_rollout, numpy_policy
from mbrl.bench.naive_loop import NaiveBuffer, arrays, mixed_batch, naive_evaluation, transitions
from mbrl.bench.naive_sac import NaiveSAC
from mbrl.bench.probes import products
from mbrl.bench.rollout import transition_operations
from mbrl.bench.setup import Setup
from mbrl.bench.update import operations_of
from mbrl.core.precision import lower_products
from mbrl.core.types import Agent, Transitions
from mbrl.run.envs import make_env
from mbrl.run.experience import MixedData
from mbrl.run.sources import ModelRollouts
from mbrl.run.train import Schedule, Trainer

BETWEEN = 1000
"""Updates between two refreshes, evaluations and lines of the log at default settings (RAVL)."""
CRITICS, ETA = 10, 1.0
"""RAVL's."""


def plans(setup: Setup) -> list[Plan]:
    """One case: a single seed."""
    return [setup.timed("endtoend/run", lambda stack: build(setup, stack))]


def build(setup: Setup, stack: ExitStack) -> Case:
    """Our trainer, and the naive loop over the naive parts. The floor: the products of updates and rollouts."""
    sizes, starts = setup.sizes, starts_of(setup)
    rolled = transition_operations(setup, starts * sizes.horizon)
    operations = sizes.chunk * operations_of(setup, CRITICS, ETA) + rolled
    shape = (CRITICS, sizes.batch_size, *sizes.hidden[:2])

    def floor(precision: str) -> Floor:
        return products(operations, shape, setup.device, precision)

    def ours(mode: Mode) -> Candidate:
        run = clock(trainer(setup, data, mode, stack), setup.device)
        return Candidate(mode.label, at(mode.precision, setup.device, run), floor(mode.precision))

    data = setup.rows(sizes.data_rows)
    candidates = [ours(mode) for mode in setup.modes]
    run = clock(naive_loop(setup, data, stack), setup.device)
    candidates.append(Candidate(NAIVE, run, floor(EXACT)))
    settings = {"seeds": 1, "num_critics": CRITICS, "eta": ETA, "starts": starts}
    return Case("endtoend/run", candidates, items=sizes.chunk, settings=settings)


def starts_of(setup: Setup) -> int:
    """Starts of a refresh: as much fewer as there are fewer updates between two of them."""
    return max(1, setup.sizes.starts * setup.sizes.chunk // BETWEEN)


def steps_of(setup: Setup) -> int:
    """Steps of an evaluation's episodes, likewise; their number stays, since they advance side by side."""
    return max(1, setup.sizes.episode_steps * setup.sizes.chunk // BETWEEN)


def trainer(setup: Setup, data: Transitions, mode: Mode, stack: ExitStack) -> Callable[[], None]:
    """A piece of a run of ours: from one evaluation to the next."""
    sizes, chunk = setup.sizes, setup.sizes.chunk
    agent, model = setup.agent(critics=CRITICS, eta=ETA), setup.ensemble()
    for part in (agent.critics, agent.targets, model):
        lower_products(part, mode.precision)
    forget_compiled(mode, stack)
    experience = MixedData(
        data,
        ModelRollouts(model, data, horizon=sizes.horizon),
        batch_size=sizes.batch_size,
        real_ratio=sizes.real_rows / sizes.batch_size,
        starts=starts_of(setup),
        retain=sizes.retain,
        refresh_every=chunk,
    )
    evaluator = evaluator_for(setup, 1, steps_of(setup))
    stack.callback(evaluator.close)
    pieces = Pieces()

    def look(agent: Agent, update: int) -> dict[str, Tensor]:
        found = evaluator(agent, index=update).returns.mean(-1)
        pieces.pause()
        return {"eval/return": found}

    every = {"eval_every": chunk, "log_every": chunk, "checkpoint_every": 10 * chunk}
    run = Trainer(
        Path(stack.enter_context(TemporaryDirectory())),
        agent,
        experience,
        Schedule(10**9, **every, q_limit=None, progress=False),
        seeds=(0,),
        dataset={"id": "benchmark", "sha256": "", "transitions": sizes.data_rows},
        evaluate=look,
        device=setup.device,
        accelerate=mode.how,
    )
    stack.callback(pieces.end)
    return pieces.of(run.run)


def naive_loop(setup: Setup, data: Transitions, stack: ExitStack) -> Callable[[], None]:
    """The same piece in the naive parts."""
    sizes, starts, rng = setup.sizes, starts_of(setup), np.random.default_rng(0)
    learner = NaiveSAC(setup.agent(critics=CRITICS, eta=ETA), eta=ETA)
    model, plain = NaiveEnsemble(setup.ensemble()), arrays(data)
    real = NaiveBuffer(sizes.data_rows, setup.device)
    real.add(plain)
    synthetic = NaiveBuffer(sizes.retain * starts * sizes.horizon, setup.device)
    env = make_env(ENV)
    stack.callback(env.close)
    act = numpy_policy(learner.policy.act, setup.device)
    mode = numpy_policy(learner.policy.mode, setup.device)

    def piece() -> None:
        obs = plain["obs"][rng.integers(0, len(data), starts)]
        synthetic.add(naive_rollout(model, act, obs, sizes.horizon, rng))
        for _ in range(sizes.chunk):
            batch = mixed_batch(real, synthetic, sizes.batch_size, sizes.real_rows, rng)
            learner.update(transitions(batch))
        naive_evaluation(env, mode, sizes.episodes, steps_of(setup))

    return piece


class Enough(Exception):
    """Ends a run that waits for its next piece."""


class Pieces:
    """A run in a thread of its own that does one piece at a time and waits in between, where it calls `pause`."""

    def __init__(self) -> None:
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.over, self.failure = False, None
        self.thread: threading.Thread | None = None

    def of(self, run: Callable[[], object]) -> Callable[[], None]:
        """Starts `run` and waits for its first pause; returns what has it do one more piece."""

        def whole() -> None:
            try:
                run()
            except Enough:
                pass
            except BaseException as error:
                self.failure = error
            finally:
                self.done.release()

        self.thread = threading.Thread(target=whole, daemon=True)
        self.thread.start()
        self._wait()
        return self._piece

    def pause(self) -> None:
        """Called by the run: the piece is done. Raises Enough once there are to be no more."""
        self.done.release()
        self.go.acquire()
        if self.over:
            raise Enough

    def end(self) -> None:
        """Let the run end, and wait for that."""
        self.over = True
        self.go.release()
        if self.thread is not None:
            self.thread.join()

    def _piece(self) -> None:
        self.go.release()
        self._wait()

    def _wait(self) -> None:
        self.done.acquire()
        if self.failure is not None:
            raise self.failure
