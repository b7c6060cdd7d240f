"""The recipe in docs/true_dynamics.md, word for word."""

import re
from pathlib import Path

import numpy as np
import pytest

from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_tasks import TASKS
from mbrl.dynamics.true_dynamics import TrueDynamics
from tests.dynamics.trajectories import record, step_from

DOC = Path(__file__).parents[2] / "docs" / "true_dynamics.md"


@pytest.fixture
def swimmer(monkeypatch):
    monkeypatch.setattr("mbrl.dynamics.mujoco_tasks.TASKS", dict(TASKS))
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    exec(code, {})


@pytest.mark.usefixtures("swimmer")
@pytest.mark.parametrize("kwargs", [{}, {"exclude_current_positions_from_observation": False}])
def test_an_environment_by_the_recipe_is_exact(kwargs):
    spec = EnvSpec("Swimmer-v5", kwargs)
    path = record(spec, 60)
    found = TrueDynamics(spec, threads=1).simulate(path.state, path.action)
    for mine, theirs in zip(found, step_from(spec, path.state, path.action), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)


def test_every_known_environment_is_listed():
    names = {env_id.rpartition("-")[0] for env_id in TASKS}
    text = DOC.read_text()
    assert all(name in text for name in names)
