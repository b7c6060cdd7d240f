"""How large the cases are: the published sizes, and tiny ones that only show that everything runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The defaults are RAVL's (Sims et al. 2024, official code): networks, batch, rollouts, evaluation.

    obs_dim and action_dim are HalfCheetah's, the environment of `evaluation` and `endtoend`. Ours are: updates
    (critics, eta), stacks (seeds), epoch_steps of a dynamics epoch, rollout_steps (1 in place of a refresh's 5: a
    step is a step), segments of a draw, denoiser_width, states of one simulator call, data_rows, and what memory
    is measured at. chunk: updates of one timed piece of a run, whose refreshes and evaluations are as much smaller
    than the defaults as it is smaller than the 1000 updates between two of them. at_least: seconds that a
    candidate's part of a round takes.
    """

    obs_dim: int = 17
    action_dim: int = 6
    hidden: tuple[int, ...] = (256, 256, 256)
    batch_size: int = 256
    updates: tuple[tuple[int, float], ...] = ((2, 0.0), (10, 0.0), (10, 1.0), (50, 1.0))
    stacks: tuple[int, ...] = (1, 8)
    members: int = 7
    elites: int = 5
    model_hidden: tuple[int, ...] = (200, 200, 200, 200)
    epoch_steps: int = 20
    starts: int = 50_000
    horizon: int = 5
    retain: int = 5
    rollout_steps: int = 1
    real_rows: int = 12
    data_rows: int = 1_000_000
    segments: int = 1000
    denoiser_width: int = 128
    states: int = 4096
    episodes: int = 10
    episode_steps: int = 1000
    chunk: int = 100
    memory_rows: tuple[int, ...] = (500_000, 1_000_000, 2_000_000)
    memory_critics: tuple[int, ...] = (2, 10, 50)
    at_least: float = 0.1


SCALES = {
    "full": Sizes(),
    "debug": Sizes(
        hidden=(8, 8),
        batch_size=16,
        updates=((2, 0.0), (3, 1.0)),
        stacks=(1, 2),
        members=3,
        elites=2,
        model_hidden=(8, 8),
        epoch_steps=2,
        starts=20,
        horizon=2,
        retain=2,
        real_rows=4,
        data_rows=100,
        segments=3,
        denoiser_width=8,
        states=8,
        episodes=1,
        episode_steps=10,
        chunk=2,
        memory_rows=(200,),
        memory_critics=(2,),
        at_least=0.0,
    ),
}
