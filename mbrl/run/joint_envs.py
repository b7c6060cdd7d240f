"""Environments of several agents, known to Gymnasium by name; what they need is imported when one is made.

Each is a gymnasium.Env with observations [N, O] and actions [N, A], padded as its attribute `layout`
(mbrl.core.joint.Layout) says, and one reward for the team.
"""

import gymnasium

MAMUJOCO = {
    "HalfCheetah-2x3": 1000,
    "HalfCheetah-6x1": 1000,
    "Hopper-3x1": 1000,
    "Walker2d-2x3": 1000,
    "Ant-2x4": 1000,
    "Ant-2x4d": 1000,
    "Ant-4x2": 1000,
    "Swimmer-2x1": 1000,
    "Reacher-2x1": 50,
    "Pusher-3p": 100,
    "Humanoid-9_8": 1000,
    "HumanoidStandup-9_8": 1000,
    "ManySegmentSwimmer-10x2": 1000,
    "ManySegmentAnt-2x3": 1000,
    "CoupledHalfCheetah-1p1": 1000,
}
"""Scenario and division into agents, and the step limit of the single-agent environment below. The id is
"mamujoco/<this>-v1"; where Gymnasium allows no "|" in an id, "_" stands for it."""

GAMES = {
    "SignAgreement": "sign_agreement",
    "ActionAgreement": "action_agreement",
    "TwinPeaks": "twin_peaks",
    "Polynomial": "polynomial",
}
"""One-step games, by the name in "game/<this>-v0"."""


def register() -> None:
    """Make the ids known to Gymnasium; those it knows already stay as they are."""
    for name, steps in MAMUJOCO.items():
        scenario, _, conf = name.partition("-")
        _add(
            f"mamujoco/{name}-v1",
            "mbrl.run.mamujoco:MaMuJoCo",
            {"scenario": scenario, "agent_conf": conf.replace("_", "|")},
            steps,
        )
    for name, game in GAMES.items():
        _add(f"game/{name}-v0", "mbrl.dynamics.games.env:GameEnv", {"game": game}, 1)


def _add(env_id: str, entry_point: str, kwargs: dict[str, str], steps: int) -> None:
    if env_id not in gymnasium.registry:
        gymnasium.register(env_id, entry_point, kwargs=kwargs, max_episode_steps=steps)


register()
