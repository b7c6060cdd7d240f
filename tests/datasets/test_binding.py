import gymnasium
import pytest

from mbrl.core.errors import MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets.binding import _DIMS, bind, check_dims, d4rl_env, pinned_versions, step_limit


def test_d4rl_locomotion_is_evaluated_in_v4():
    assert d4rl_env("halfcheetah-medium-v2") == EnvSpec("HalfCheetah-v4")
    assert d4rl_env("ant-medium-v2") == EnvSpec("Ant-v4", {"use_contact_forces": True})
    assert d4rl_env("antmaze-umaze-v2") is None
    assert d4rl_env("pen-human-v1") is None


@pytest.mark.parametrize("id", [id for id in _DIMS if id.endswith("v5")])
def test_dimensions_are_gymnasiums(id):
    env = gymnasium.make(id)
    assert _DIMS[id] == (env.observation_space.shape[0], env.action_space.shape[0])
    env.close()


def test_arguments_change_dimensions():
    forces = EnvSpec("Ant-v4", {"use_contact_forces": True})
    check_dims(forces, 111, 8, "x")
    check_dims(EnvSpec("Ant-v4"), 27, 8, "x")
    for env in (forces, EnvSpec("Ant-v5")):
        with pytest.raises(MismatchError, match="x: observations have 27"):
            check_dims(env, 27, 8, "x")
    # Not judged here: arguments may change anything, and other environments are unknown.
    check_dims(EnvSpec("Hopper-v5", {"exclude_current_positions_from_observation": False}), 12, 3, "x")
    check_dims(EnvSpec("Mine-v0"), 1, 1, "x")
    check_dims(None, 1, 1, "x")


def test_the_environment_asked_for_wins_with_a_note():
    recorded = EnvSpec("Hopper-v5", versions={"mujoco": "3.4.0"})
    assert bind(recorded, None) == (recorded, [])
    assert bind(None, EnvSpec("A")) == (EnvSpec("A"), [])
    assert bind(recorded, EnvSpec("Hopper-v5")) == (recorded, [])
    env, notes = bind(recorded, EnvSpec("Hopper-v4"))
    assert env == EnvSpec("Hopper-v4", versions={"mujoco": "3.4.0"})
    assert "recorded in Hopper-v5" in notes[0]
    assert "bound to Hopper-v4" in notes[0]


def test_step_limits():
    assert step_limit(EnvSpec("Hopper-v5")) == 1000
    assert step_limit(EnvSpec("Hopper-v5", {"max_episode_steps": 7})) == 7
    assert step_limit(EnvSpec("Nowhere-v0")) is None
    assert step_limit(None) is None


def test_only_pinned_versions_are_known():
    assert pinned_versions(["mujoco==3.2.3", "gymnasium>=1.0", " a-b == 1.0.post1 "]) == {
        "mujoco": "3.2.3",
        "a-b": "1.0.post1",
    }
