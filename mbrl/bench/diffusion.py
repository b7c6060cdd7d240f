"""Segments of a diffusion model: how many a second, led by a policy in each way and not at all."""

from collections.abc import Callable
from typing import Any

from mbrl.bench.case import Candidate, Case, Floor, Plan
from mbrl.bench.measure import clock
from mbrl.bench.setup import Setup
from mbrl.core.joint import Layout
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape
from mbrl.dynamics.diffusion.source import Coda

HORIZON = 4
CASES: dict[str, dict[str, Any]] = {
    "unguided": {"weight": 0.0},
    "noisy": {"guide": "noisy", "schedule": "damped"},
    "posterior": {"guide": "posterior"},
    "jacobian": {"guide": "jacobian"},
    "conjugate": {"guide": "conjugate"},
}
NETWORKS = ("mlp", "attention")


def plans(setup: Setup) -> list[Plan]:
    """One case a network and guide."""
    return [
        setup.timed(f"diffusion/{net}-{name}", lambda stack, net=net, name=name: build(setup, net, name))
        for net in NETWORKS
        for name in CASES
    ]


def build(setup: Setup, network: str, name: str) -> Case:
    """A draw of segments for one seed. The floor of a guided one is the unguided one, and of that its calls of the
    denoiser alone."""
    sizes = setup.sizes
    layout = Layout((sizes.obs_dim,), (sizes.action_dim,))
    shape = SegmentShape(HORIZON, layout, joint=False)
    model = DiffusionModel(
        shape, network=network, width=sizes.denoiser_width, depth=2, device=setup.device
    ).requires_grad_(False)
    count, agent, streams = sizes.segments, setup.agent(critics=2, eta=0), setup.streams()
    free, led = Coda(model, **CASES["unguided"]), Coda(model, **CASES[name])

    def draw(coda: Coda) -> Callable[[], object]:
        return lambda: coda.segments(agent, count, streams)

    x, calls = streams.randn(count, shape.tokens, shape.width), free.sampler.evaluations()

    def denoise() -> None:
        for _ in range(calls):
            model.denoise(x, 1.0)

    bare = denoise if name == "unguided" else draw(free)
    kind = f"{network} {'denoiser' if name == 'unguided' else 'unguided'}"
    floor = Floor(kind, count, clock(bare, setup.device), count)
    candidate = Candidate("eager", clock(draw(led), setup.device), floor)
    settings = {"network": network, "guide": name, "horizon": HORIZON, "steps": free.sampler.steps}
    return Case(
        f"diffusion/{network}-{name}",
        [candidate],
        items=count,
        unit="segment",
        settings=settings,
        counted=True,
    )
