"""One training step of the probabilistic ensemble, every member on rows of its own."""

from contextlib import ExitStack

import numpy as np
import torch

from mbrl.bench.case import NAIVE, Candidate, Case, Plan
from mbrl.bench.measure import clock
from mbrl.bench.naive_ensemble import NaiveEnsemble
from mbrl.bench.probes import products
from mbrl.bench.setup import Setup
from mbrl.bench.work import ensemble_step_operations
from mbrl.core.progress import progress
from mbrl.dynamics.epochs import Epochs
from mbrl.dynamics.fit import regression_pairs
from mbrl.dynamics.snapshots import Snapshots

LR, LOGVAR_COEF = 1e-3, 0.01


def plans(setup: Setup) -> list[Plan]:
    """One case: a short epoch, so that gathering batches counts, too."""
    return [setup.timed("dynamics/step", lambda stack: build(setup, stack))]


def build(setup: Setup, stack: ExitStack) -> Case:
    """Ours, the naive ensemble, and mbrl-lib's."""
    sizes, rows = setup.sizes, setup.sizes.batch_size
    layers = (sizes.obs_dim + sizes.action_dim, *sizes.model_hidden, 2 * (sizes.obs_dim + 1))
    operations = ensemble_step_operations(members=sizes.members, rows=rows, sizes=layers)
    floor = products(
        operations * sizes.epoch_steps, (sizes.members, rows, *sizes.model_hidden[:2]), setup.device
    )
    model, data = setup.ensemble(), setup.rows(sizes.epoch_steps * rows)
    inputs, targets = regression_pairs(model, data)
    naive = NaiveEnsemble(model, lr=LR, logvar_coef=LOGVAR_COEF)
    rng = np.random.default_rng(0)
    bootstrap = rng.integers(0, len(inputs), (sizes.members, len(inputs)))
    plain = inputs.cpu().numpy(), targets.cpu().numpy()

    def naive_epoch() -> None:
        order = rng.permuted(bootstrap, axis=1)
        naive.train_epoch(*plain, order, rows)

    train = torch.arange(len(inputs), device=setup.device).unsqueeze(0)
    snapshots = Snapshots(model, improvement=0.01, patience=5)
    epochs = Epochs(model, inputs, targets, train, batch_size=rows, lr=LR, logvar_coef=LOGVAR_COEF)
    bar = stack.enter_context(progress(None, "", enabled=False))
    candidates = [
        Candidate("eager", clock(lambda: epochs.run(snapshots, bar), setup.device), floor),
        Candidate(NAIVE, clock(naive_epoch, setup.device), floor),
    ]
    task = {"members": sizes.members, "rows": rows, "hidden": sizes.model_hidden}
    dims = {"obs_dim": sizes.obs_dim, "action_dim": sizes.action_dim}
    candidates += setup.peer("mbrl-lib", task | dims | {"steps": sizes.epoch_steps}, floor, stack)
    settings = {"seeds": 1, "members": sizes.members, "rows": rows}
    return Case(
        "dynamics/step", candidates, items=sizes.epoch_steps, unit="step", settings=settings, counted=True
    )
