"""A film has a picture for every step; where nothing can be rendered, that is said."""

from typing import ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from PIL import Image

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.run.video import record_episode


class Lamp(gymnasium.Env):
    """Six steps; its picture is as bright as the sum of all actions."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(self, render_mode=None, broken=False):
        self.render_mode, self.broken = render_mode, broken
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,), dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.light = 0, 0.0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps, self.light = self.steps + 1, self.light + float(action[0])
        return np.full(2, self.steps / 10, np.float32), self.light, self.steps == 6, False, {}

    def render(self):
        if self.broken:
            raise RuntimeError("no OpenGL")
        return np.full((16, 24, 3), int(40 * self.light), dtype=np.uint8)


@pytest.fixture
def lamp():
    gymnasium.register("Lamp-v0", entry_point=Lamp)
    yield EnvSpec("Lamp-v0")
    del gymnasium.registry["Lamp-v0"]


class One:
    def act(self, obs, streams=None):
        return torch.ones(*obs.shape[:-1], 1)


def test_a_picture_for_every_step(lamp, tmp_path):
    total, length = record_episode(One(), lamp, tmp_path / "out/lamp.gif")
    assert (total, length) == (21.0, 6)
    with Image.open(tmp_path / "out/lamp.gif") as film:
        assert film.n_frames == 7
        assert film.size == (24, 16)
        assert film.info["duration"] == 40
        shown = []
        for i in range(film.n_frames):
            film.seek(i)
            shown.append(np.asarray(film.convert("L")).mean())
    assert shown == pytest.approx([40 * i for i in range(7)], abs=2)


def test_no_longer_than_the_cap(lamp, tmp_path):
    assert record_episode(One(), lamp, tmp_path / "lamp.gif", max_steps=2) == (3.0, 2)


def test_where_nothing_can_be_rendered(lamp, tmp_path):
    broken = EnvSpec("Lamp-v0", kwargs={"broken": True})
    with pytest.raises(ConfigError, match=r"Lamp-v0 cannot be rendered here \(RuntimeError\).*MUJOCO_GL"):
        record_episode(One(), broken, tmp_path / "lamp.gif")
    assert list(tmp_path.iterdir()) == []


def test_other_files(lamp, tmp_path):
    with pytest.raises(ConfigError, match="written as .gif"):
        record_episode(One(), lamp, tmp_path / "lamp.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        record_episode(One(), lamp, tmp_path / "file/lamp.gif")
