"""Lineages: part of the id, and no dataset is bound to an environment of another one."""

import pytest

from mbrl.core.errors import MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets.lineage import bound_lineage, lineage_in, lineage_of, with_lineage

HOPPER = EnvSpec("mamujoco/Hopper-3x1-v1")


@pytest.mark.parametrize(
    ("env_id", "lineage"),
    [
        ("mamujoco/Hopper-3x1-v1", "mamujoco_v1"),
        ("mamujoco/Walker2d-2x3-v0", "mamujoco_v0"),
        ("game/TwinPeaks-v0", "game"),
        ("my_package:my_space/Convoy-v2", "Convoy-v2"),
        ("Hopper-v5", "Hopper-v5"),
    ],
)
def test_of_an_environment(env_id, lineage):
    assert lineage_of(EnvSpec(env_id)) == lineage


def test_what_is_known_of_it_decides():
    assert bound_lineage("mamujoco_v0", None, None, "x") == "mamujoco_v0"
    assert bound_lineage(None, HOPPER, None, "x") == "mamujoco_v1"
    assert bound_lineage(None, None, HOPPER, "x") == "mamujoco_v1"
    assert bound_lineage("mamujoco_v1", HOPPER, HOPPER, "x") == "mamujoco_v1"
    assert bound_lineage(None, None, None, "x") == "unknown_lineage"
    assert bound_lineage(None, HOPPER, EnvSpec(HOPPER.id, {"agent_obsk": 0}), "x") == "mamujoco_v1"


@pytest.mark.parametrize(
    ("recorded", "recorded_env", "env", "message"),
    [
        ("multiagent_mujoco", None, HOPPER, "mujoco 2.x.*mamujoco_v1.*leave env out.*scripts/collect.py"),
        ("mamujoco_v0", None, HOPPER, "mamujoco_v0.*v4 robots.*mamujoco_v1.*v5 robots"),
        (None, HOPPER, EnvSpec("Hopper-v5"), "Hopper-v5 is of another kind.*bind mamujoco/<task>-v1"),
        (None, EnvSpec("game/TwinPeaks-v0"), HOPPER, "one-step games"),
        ("mamujoco_v0", HOPPER, None, "id says mamujoco_v0, but it was recorded in mamujoco/Hopper"),
        # The same sizes of agents, so nothing else would notice.
        (None, EnvSpec("mamujoco/HalfCheetah-2x3-v1"), EnvSpec("mamujoco/Walker2d-2x3-v1"), "another robot"),
    ],
)
def test_another_one_is_refused(recorded, recorded_env, env, message):
    with pytest.raises(MismatchError, match=message) as error:
        bound_lineage(recorded, recorded_env, env, "file.hdf5")
    assert str(error.value).startswith("file.hdf5")


def test_in_an_id():
    assert lineage_in("omiga/multiagent_mujoco/Hopper-v2-3x1-expert") == "multiagent_mujoco"
    assert lineage_in("local/mamujoco_v1-like") is None
    assert with_lineage("local/a/b", "mamujoco_v0") == "local/mamujoco_v0/a/b"
    assert with_lineage("local/mamujoco_v0/b", "mamujoco_v0") == "local/mamujoco_v0/b"
