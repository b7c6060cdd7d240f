"""Games as datasets and as environments: both give the same rewards."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.dynamics.games.dataset import game_dataset
from mbrl.dynamics.games.env import GameEnv


@pytest.mark.parametrize("name", ["sign_agreement", "action_agreement", "twin_peaks"])
def test_the_environment_replays_the_dataset(name):
    dataset = game_dataset(name, "uniform", 20, 0, game={"agents": 3})
    env = GameEnv(name, **dataset.env.kwargs)
    rows = dataset.transitions
    for i in range(len(dataset)):
        obs, _ = env.reset()
        np.testing.assert_array_equal(obs, rows.obs[i].numpy())
        next_obs, reward, terminal, timeout, _ = env.step(rows.action[i].numpy())
        np.testing.assert_array_equal(next_obs, rows.next_obs[i].numpy())
        assert (reward, terminal, timeout) == (pytest.approx(rows.reward[i].item(), abs=1e-6), True, False)


def test_a_dataset_says_what_it_is():
    dataset = game_dataset("sign_agreement", "quadrant", 50, 7, options={"signs": "-+"})
    assert dataset.id == "game/sign_agreement/quadrant[signs=-+]"
    assert game_dataset("sign_agreement", "uniform", 5, 0).id == "game/sign_agreement/uniform"
    assert dataset.layout == Layout((1, 1), (1, 1))
    assert dataset.env.id == "game/SignAgreement-v0"
    assert dataset.transitions.obs.shape == (50, 2, 1)
    assert dataset.transitions.terminal.all()
    assert not dataset.transitions.timeout.any()
    assert dataset.episode.tolist() == list(range(50))
    assert dataset.stats.episodes == 50
    assert dataset.stats.return_mean == pytest.approx(dataset.transitions.reward.mean().item(), abs=1e-6)
    assert dataset.sha256 == game_dataset("sign_agreement", "quadrant", 50, 7, options={"signs": "-+"}).sha256
    assert dataset.sha256 != game_dataset("sign_agreement", "quadrant", 50, 8, options={"signs": "-+"}).sha256
    assert torch.equal(dataset.transitions.reward, dataset.transitions.action.prod(-2).squeeze(-1))


def test_the_environment_is_gymnasiums():
    check_env(GameEnv("sign_agreement"), skip_render_check=True)


def test_the_registered_id_gives_the_same_environment():
    from mbrl.run import envs  # registers the ids

    assert envs
    env = gymnasium.make("game/Polynomial-v0", terms=[(1.0, (1, 2))], disable_env_checker=True)
    env.reset()
    assert env.step(np.array([[0.5], [0.5]]))[1] == pytest.approx(0.125)
    assert env.unwrapped.layout == Layout((1, 1), (1, 1))


def test_actions_are_clipped_and_shapes_checked():
    env = GameEnv("sign_agreement")
    env.reset()
    assert env.step(np.array([[3.0], [-0.5]]))[1] == -0.5
    with pytest.raises(MismatchError, match=r"action of shape \(2,\) for a game of \(2, 1\)"):
        env.step(np.zeros(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GameEnv("sign"), "unknown game 'sign'"),
        (lambda: game_dataset("chess", "uniform", 5, 0), "unknown game 'chess'"),
        (lambda: game_dataset("twin_peaks", "diagonal", 5, 0), "unknown data distribution 'diagonal'"),
        (lambda: game_dataset("twin_peaks", "uniform", 0, 0), "rows=0"),
    ],
)
def test_unknown_names(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
