"""Offline datasets of polynomial games: one-step episodes of joint actions from a stated distribution."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch

from mbrl.core.seeds import child_seed
from mbrl.core.types import EnvSpec, Transitions
from mbrl.datasets.dataset import OfflineDataset, Stats
from mbrl.datasets.digest import record_sha256
from mbrl.datasets.record import Record
from mbrl.dynamics.games.data import sample_actions
from mbrl.dynamics.games.game import Game, make_game

ENV_IDS = {
    "sign_agreement": "game/SignAgreement-v0",
    "action_agreement": "game/ActionAgreement-v0",
    "twin_peaks": "game/TwinPeaks-v0",
    "polynomial": "game/Polynomial-v0",
}
"""Gymnasium ids of the games."""
OBS = 1.0
"""The one number that every agent observes, at every step."""


def game_dataset(
    name: str,
    data: str,
    rows: int,
    seed: int,
    *,
    game: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> OfflineDataset:
    """A dataset of `rows` one-step episodes of the game, all terminal, with exact rewards.

    name: in GAMES; game: its options (agents, constants, terms). data: in DATA; options: the distribution's.
    The id is game/<name>/<data>, with the options that are given in brackets.
    Raises ConfigError for a name or an option that is not known, before anything is drawn.
    """
    played = make_game(name, game)
    action = sample_actions(data, rows, played.agents, child_seed(seed, "game.data"), **dict(options or {}))
    transitions = joint_rows(played, action)
    reward = transitions.reward.double()
    stats = Stats(
        transitions=rows,
        episodes=rows,
        return_min=reward.min().item(),
        return_mean=reward.mean().item(),
        return_max=reward.max().item(),
        length_mean=1.0,
        terminals=rows,
        timeouts=0,
    )
    return OfflineDataset(
        id=f"game/{name}{_bracket(game)}/{data}{_bracket(options)}",
        transitions=transitions,
        episode=torch.arange(rows),
        successor_known=torch.ones(rows, dtype=torch.bool),
        env=EnvSpec(ENV_IDS[name], dict(game or {}), {"gymnasium": gymnasium.__version__}),
        sha256=_digest(transitions),
        stats=stats,
        behaviour=f"independent of the observation: {data}{_bracket(options)}, seed {seed}",
        layout=played.layout,
    )


def joint_rows(game: Game, action: torch.Tensor) -> Transitions:
    """Transitions [..., B] of the joint actions [..., B, N, 1], rewards computed in float64."""
    obs = torch.full_like(action, OBS)
    reward = game.reward(action.double()).float()
    terminal = torch.ones_like(reward, dtype=torch.bool)
    step = torch.zeros_like(reward, dtype=torch.int64)
    return Transitions(obs, action, reward, obs.clone(), terminal, torch.zeros_like(terminal), step)


def _digest(rows: Transitions) -> str:
    parts = [x.flatten(1).numpy() for x in (rows.obs, rows.action)]
    return record_sha256(Record(*parts, rows.reward.numpy(), rows.terminal.numpy()))


def _bracket(options: Mapping[str, Any] | None) -> str:
    """[key=value,...] for a dataset's id, nothing without options."""
    pairs = ",".join(f"{key}={value}" for key, value in sorted((options or {}).items()))
    return f"[{pairs}]" if pairs else ""
