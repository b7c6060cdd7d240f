import gymnasium
import numpy as np
import pytest

from mbrl.core.errors import MismatchError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.envs import make_env
from tests.dynamics.trajectories import ENVS

HOPPER = EnvSpec("Hopper-v5")
TEAMS = [EnvSpec(f"mamujoco/{name}-v1") for name in ("HalfCheetah-2x3", "HalfCheetah-6x1", "Hopper-3x1")]


def made(spec, count):
    """Environments after a reset, each from its own start."""
    envs = [make_env(spec) for _ in range(count)]
    for i, env in enumerate(envs):
        env.reset(seed=i)
    return envs


def together(envs, **options):
    return side_by_side([e.env for e in envs], **options)


@pytest.mark.parametrize("spec", [*ENVS, *TEAMS], ids=lambda s: s.id)
@pytest.mark.parametrize("threads", [1, 3])
def test_steps_are_the_environments_own_to_the_last_bit(spec, threads):
    """From a reset along trajectories, those that ended left standing, actions beyond the bounds among them."""
    alone, stacked, rng = made(spec, 5), made(spec, 5), np.random.default_rng(0)
    stepper, alive = together(stacked, threads=threads), np.arange(5)
    shape, ends = alone[0].action_space.shape, 0
    size = np.prod(shape)
    for t in range(120):
        turn = 0.2 * t + np.arange(size) + rng.normal(size=(len(alive), size))
        action = (1.2 * np.sin(turn)).astype(np.float32).reshape(-1, *shape)
        obs, reward, ended = stepper.step(alive, action)
        for i, row in enumerate(alive):
            want, paid, terminated, _, _ = alone[row].step(action[i])
            assert np.array_equal(obs[i], want)
            assert reward[i] == paid
            assert ended[i] == terminated
        ends += ended.sum()
        alive = alive[~ended]
        if not len(alive):
            break
    assert (ends > 0) == ("HalfCheetah" not in spec.id)


def test_a_second_episode_starts_from_its_reset():
    one, other = made(HOPPER, 2), made(HOPPER, 2)
    stepper, action = together(one), np.full((2, 3), 0.3, dtype=np.float32)
    for _ in range(5):
        stepper.step(np.arange(2), action)
    for env in (*one, *other):
        env.reset(seed=7)
    obs, _, _ = stepper.step(np.arange(2), action)
    assert np.array_equal(obs[1], other[1].step(action[1])[0])


def test_rows_are_stepped_alone_and_in_any_order():
    one, other = made(HOPPER, 3), made(HOPPER, 3)
    action = np.array([[0.1, 0.2, 0.3], [-0.5, 0.5, 0.0]], dtype=np.float32)
    obs, _, _ = together(one).step(np.array([2, 0]), action)
    assert np.array_equal(obs[0], other[2].step(action[0])[0])
    assert np.array_equal(obs[1], other[0].step(action[1])[0])
    assert np.array_equal(one[1].unwrapped.data.qpos, other[1].unwrapped.data.qpos)


@pytest.mark.parametrize(
    "spec",
    [
        EnvSpec("Ant-v5"),  # shows contact forces
        EnvSpec("Swimmer-v5"),
        EnvSpec("Pendulum-v1"),
        EnvSpec("mamujoco/Walker2d-2x3-v1"),  # agents see what the robot's observation does not
        EnvSpec("mamujoco/Ant-2x4-v1"),
        EnvSpec("game/TwinPeaks-v0"),
    ],
    ids=lambda s: s.id,
)
def test_environments_without_a_record_are_left_to_themselves(spec):
    assert together(made(spec, 2)) is None


def test_what_may_change_an_environment_is_left_to_itself(monkeypatch):
    class Doubled(gymnasium.Wrapper):
        pass

    plain = [e.env for e in made(HOPPER, 2)]
    assert side_by_side(plain) is not None
    assert side_by_side([plain[0], Doubled(plain[1])]) is None
    assert side_by_side([Doubled(e) for e in plain]) is None

    class OwnHopper(type(plain[0].unwrapped)):
        pass

    own = gymnasium.envs.registration.EnvSpec("Hopper-v5", entry_point=OwnHopper)
    monkeypatch.setitem(gymnasium.registry, "Hopper-v5", own)
    assert side_by_side([gymnasium.make("Hopper-v5")]) is None


def test_actions_of_another_size_are_refused():
    stepper = together(made(HOPPER, 2))
    with pytest.raises(MismatchError, match=r"\(2, 1\) for 2 environments of 3"):
        stepper.step(np.arange(2), np.zeros((2, 1), dtype=np.float32))


def test_actions_of_other_teams_are_refused():
    stepper = together(made(TEAMS[2], 2))
    with pytest.raises(MismatchError, match=r"\(2, 3\) for 2 teams of \(3, 1\)"):
        stepper.step(np.arange(2), np.zeros((2, 3), dtype=np.float32))


def test_joints_in_another_order_than_the_agents():
    """Which no team that is stepped together has by itself."""
    one, other = together(made(TEAMS[2], 2)), together(made(TEAMS[2], 2))
    one.moved = one.moved[::-1].copy()
    action = np.array([[[0.1], [0.2], [0.3]], [[-0.5], [0.5], [0.0]]], dtype=np.float32)
    obs, _, _ = one.step(np.arange(2), action)
    assert np.array_equal(obs, other.step(np.arange(2), action[:, ::-1])[0])
