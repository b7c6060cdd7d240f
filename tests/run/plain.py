"""A small environment without a simulator: move a point; leaving the unit interval ends the episode."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Plain(gymnasium.Env):
    """obs [2]: position and steps taken. Reward: the position. It hands out one array, changed in place."""

    action_space = Box(-1, 1, (1,), np.float32)
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless
        self.obs = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs[:] = self.np_random.uniform(-0.1, 0.1), 0
        return self.obs, {}

    def step(self, action):
        self.obs += np.float32([0.3 * action[0], 1])
        terminal = not self.endless and abs(self.obs[0]) > 1
        return self.obs, float(self.obs[0]), bool(terminal), False, {}
