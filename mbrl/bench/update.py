"""One gradient step of the learner: critics, actor, temperature, targets, on a batch that is there already."""

from contextlib import ExitStack
from functools import partial

from mbrl.agents import SAC
from mbrl.bench.case import NAIVE, Candidate, Case, Floor, Plan
from mbrl.bench.measure import clock
from mbrl.bench.modes import EXACT, own
from mbrl.bench.naive_sac import NaiveSAC
from mbrl.bench.probes import products
from mbrl.bench.setup import Setup
from mbrl.bench.work import update_operations
from mbrl.core.accelerate import Step
from mbrl.core.seeds import Streams


def plans(setup: Setup) -> list[Plan]:
    """Every number of critics and eta, for every stack of seeds."""
    return [
        setup.timed(name_of(critics, eta, seeds), partial(build, setup, critics, eta, seeds))
        for seeds in setup.sizes.stacks
        for critics, eta in setup.sizes.updates
    ]


def name_of(critics: int, eta: float, seeds: int) -> str:
    """A case's name."""
    return f"update/N{critics}-eta{eta:g}-S{seeds}"


def build(setup: Setup, critics: int, eta: float, seeds: int, stack: ExitStack) -> Case:
    """Ours, stacked; the naive learners one after the other; and d3rlpy where it does the same."""
    sizes = setup.sizes
    operations = seeds * operations_of(setup, critics, eta)
    shape = (seeds * critics, sizes.batch_size, *sizes.hidden[:2])

    def floor(precision: str) -> Floor:
        return products(operations, shape, setup.device, precision)

    batch = setup.rows(seeds, sizes.batch_size)
    agent = setup.agent(seeds, critics=critics, eta=eta)
    naive = [NaiveSAC(agent, seed, eta=eta) for seed in range(seeds)]
    rows = [batch[seed] for seed in range(seeds)]

    def each() -> None:
        for learner, its in zip(naive, rows, strict=True):
            learner.update(its)

    def make() -> tuple[SAC, Step, Streams]:
        learner = setup.agent(seeds, critics=critics, eta=eta)
        return learner, (lambda streams: learner.update(batch, streams)), setup.streams(seeds)

    candidates = own(make, setup.modes, floor, stack)
    candidates.append(Candidate(NAIVE, clock(each, setup.device), floor(EXACT)))
    if seeds == 1 and eta == 0:
        task = {"critics": critics, "rows": sizes.batch_size, "hidden": sizes.hidden}
        dims = {"obs_dim": sizes.obs_dim, "action_dim": sizes.action_dim}
        candidates += setup.peer("d3rlpy", task | dims, floor(EXACT), stack)
    settings = {"seeds": seeds, "num_critics": critics, "eta": eta}
    return Case(name_of(critics, eta, seeds), candidates, settings=settings, counted=True)


def operations_of(setup: Setup, critics: int, eta: float) -> int:
    """Operations of one seed's update at these sizes."""
    sizes = setup.sizes
    return update_operations(
        critics=critics,
        diversity=eta != 0,
        obs_dim=sizes.obs_dim,
        action_dim=sizes.action_dim,
        hidden=sizes.hidden,
        rows=sizes.batch_size,
    )
