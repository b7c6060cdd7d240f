"""Sampling the batch of an update: a few real rows, the others from the synthetic buffer."""

from dataclasses import fields

import numpy as np
import torch

from mbrl.bench.case import NAIVE, Candidate, Case, Plan
from mbrl.bench.measure import clock
from mbrl.bench.naive_loop import NaiveBuffer, arrays, mixed_batch
from mbrl.bench.probes import copies
from mbrl.bench.setup import Setup
from mbrl.bench.work import gather_bytes
from mbrl.core.types import Transitions
from mbrl.run.experience import MixedData


class NoSource:
    """A source that is never asked: the benchmark fills the buffer itself."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon


def plans(setup: Setup) -> list[Plan]:
    """One case a stack of seeds."""
    return [
        setup.timed(f"buffer/sample-S{seeds}", lambda stack, seeds=seeds: build(setup, seeds))
        for seeds in setup.sizes.stacks
    ]


def build(setup: Setup, seeds: int) -> Case:
    """Ours, for all seeds at once; numpy buffers, one seed after the other."""
    sizes = setup.sizes
    data = setup.rows(sizes.data_rows)
    block = setup.rows(1, sizes.starts * sizes.horizon, seed=1)
    ours = MixedData(
        data,
        NoSource(sizes.horizon),
        batch_size=sizes.batch_size,
        real_ratio=sizes.real_rows / sizes.batch_size,
        starts=sizes.starts,
        retain=sizes.retain,
    )
    stacked = block.map(lambda x: x.expand(seeds, *x.shape[1:]))
    alive = torch.ones(stacked.reward.shape, dtype=torch.bool, device=setup.device)
    real = NaiveBuffer(sizes.data_rows, setup.device)
    real.add(arrays(data))
    synthetic = NaiveBuffer(sizes.retain * len(block), setup.device)
    for _ in range(sizes.retain):
        ours.synthetic.add(stacked, alive)
        synthetic.add(arrays(block[0]))
    streams, rng = setup.streams(seeds), np.random.default_rng(0)

    def each() -> None:
        for _ in range(seeds):
            mixed_batch(real, synthetic, sizes.batch_size, sizes.real_rows, rng)

    floor = copies(gather_bytes(rows=seeds * sizes.batch_size, row_bytes=row_bytes(data)), setup.device)
    candidates = [
        Candidate("eager", clock(lambda: ours.sample(streams), setup.device), floor),
        Candidate(NAIVE, clock(each, setup.device), floor),
    ]
    settings = {"seeds": seeds, "rows": sizes.data_rows + sizes.retain * len(block)}
    return Case(f"buffer/sample-S{seeds}", candidates, unit="batch", settings=settings, counted=True)


def row_bytes(rows: Transitions) -> int:
    """Bytes of one transition."""
    present = (getattr(rows, f.name) for f in fields(rows))
    return sum(x[0].nbytes for x in present if x is not None)
