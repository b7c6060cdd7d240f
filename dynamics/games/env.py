"""Polynomial games as gymnasium environments: all agents' actions at once, one step, one shared reward."""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from mbrl.core.errors import MismatchError
from mbrl.dynamics.games.dataset import OBS
from mbrl.dynamics.games.game import make_game


class GameEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """observation [N, 1], always the same; action [N, 1], clipped to [-1, 1]; terminal after one step."""

    metadata = {"render_modes": []}  # noqa: RUF012 - gymnasium's own convention

    def __init__(self, game: str, **options: Any) -> None:
        """game: a name in GAMES; options: agents, and the game's constants or terms. Raises ConfigError."""
        self.game = make_game(game, options)
        self.layout = self.game.layout
        shape = (self.game.agents, 1)
        self.observation_space = Box(0.0, OBS, shape, np.float32)
        self.action_space = Box(-1.0, 1.0, shape, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The observation; nothing is drawn."""
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """The game's exact reward. Raises MismatchError for an action of another shape."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != self.action_space.shape:
            raise MismatchError(f"an action of shape {action.shape} for a game of {self.action_space.shape}")
        reward = self.game.reward(torch.from_numpy(action).clamp(-1.0, 1.0)).item()
        return self._obs(), reward, True, False, {}

    def _obs(self) -> np.ndarray:
        return np.full(self.observation_space.shape, OBS, dtype=np.float32)
