"""Runs the parts that were asked for, and writes what they gave after every case."""

from collections.abc import Mapping, Sequence

import torch

from mbrl.bench.case import Plan, Row
from mbrl.bench.modes import modes_for
from mbrl.bench.outputs import PICTURE, ROWS, about, merged, read_before, table, with_run, write_rows
from mbrl.bench.peers import find_peers
from mbrl.bench.picture import draw
from mbrl.bench.registry import PARTS
from mbrl.bench.request import Request
from mbrl.bench.setup import Setup
from mbrl.bench.sizes import SCALES
from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError
from mbrl.core.progress import progress
from mbrl.dynamics.mujoco_batch import cores


def run(request: Request) -> list[Row]:
    """Time every case of the request and return its rows; files as docs/performance.md lists them.

    Rows of an earlier benchmark in `out` that are not timed now stay. Raises ConfigError before any work for a
    device, mode or interpreter that is not there, and for cases that do not exist; DataError for an `out` that
    holds something else.
    """
    setup = setup_for(request)
    known = {name: part.plans(setup) for name, part in PARTS.items()}
    plans = chosen(request.only, known)
    order = [plan.name for part in known.values() for plan in part]
    before, meta = read_before(request)
    new: list[Row] = []
    torch.set_num_threads(setup.threads)
    with progress(sum(plan.ticks for plan in plans), "benchmark", unit="round") as bar:
        for i, plan in enumerate(plans, start=1):
            bar.set_postfix_str(plan.name)
            new += plan.run(bar.update)
            done = about(request, setup, [p.name for p in plans[:i]])
            write_rows(request.out, merged(before, new, order), with_run(meta, done))
    draw(merged(before, new, order), request.out / PICTURE)
    print(table(new))
    print(f"{request.out}/{ROWS}, picture {request.out}/{PICTURE}")
    return new


def setup_for(request: Request) -> Setup:
    """Device, modes and other libraries, found or refused."""
    device = pick_device(request.device)
    return Setup(
        SCALES[request.scale],
        device,
        threads=request.threads or cores(),
        rounds=request.repeat,
        modes=modes_for(request.modes, device),
        peers=find_peers(request.peers) if request.peers else None,
    )


def chosen(only: Sequence[str], known: Mapping[str, Sequence[Plan]]) -> list[Plan]:
    """The cases, by part, that `only` names; all if it is empty. Raises ConfigError for a name without a case."""
    plans = [plan for part in known.values() for plan in part]
    for want in only:
        if not any(fits(plan.name, want) for plan in plans):
            near = [plan.name for plan in known[want.split("/")[0]]]
            raise ConfigError(f"only={want}: there is no such case; known: {', '.join(near)}")
    return [plan for plan in plans if not only or any(fits(plan.name, want) for want in only)]


def fits(name: str, want: str) -> bool:
    """Whether a case's name is what `want` asks for: a part, or the beginning of a case's name."""
    return name.startswith(want if "/" in want else f"{want}/")
