"""Policies in npz files: the arithmetic, the time feature, and what is refused."""

import numpy as np
import pytest
import torch

from mbrl.agents.policy_file import load_policy
from mbrl.core.errors import DataError, MismatchError
from mbrl.core.types import Policy
from mbrl.run.evaluate import Episodic

RNG = np.random.default_rng(0)
GOOD = {
    "W0": RNG.normal(size=(4, 3)),
    "b0": RNG.normal(size=4),
    "W1": RNG.normal(size=(2, 4)),
    "b1": RNG.normal(size=2),
    "hidden": np.array("tanh"),
    "out": np.array("tanh"),
    "obs_mean": RNG.normal(size=3),
    "obs_scale": np.array([0.5, 1.0, 2.0]),
    "obs_clip": np.array(1.5),
    "time_feature": np.array(False),
    "source": np.array("here"),
}


def saved(tmp_path, **changes):
    arrays = {key: value for key, value in (GOOD | changes).items() if value is not None}
    np.savez(tmp_path / "policy.npz", **arrays)
    return tmp_path / "policy.npz"


def by_hand(obs, hidden=np.tanh, out=np.tanh):
    x = np.clip((obs - GOOD["obs_mean"]) / GOOD["obs_scale"], -1.5, 1.5)
    h = hidden(GOOD["W0"] @ x + GOOD["b0"])
    return out(GOOD["W1"] @ h + GOOD["b1"])


def clip(x):
    return np.clip(x, -1, 1)


@pytest.mark.parametrize("hidden", ["relu", "tanh"])
@pytest.mark.parametrize(("out", "function"), [("tanh", np.tanh), ("clip", clip), ("raw", clip)])
def test_layers_by_hand(tmp_path, hidden, out, function):
    policy = load_policy(saved(tmp_path, hidden=np.array(hidden), out=np.array(out)), obs_dim=3, action_dim=2)
    obs = torch.randn(2, 5, 3)
    action = policy.act(obs)
    assert action.shape == (2, 5, 2)
    assert action.dtype == torch.float32
    act = np.tanh if hidden == "tanh" else lambda x: np.maximum(x, 0)
    for s in range(2):
        for b in range(5):
            np.testing.assert_allclose(action[s, b], by_hand(obs[s, b].numpy(), act, function), rtol=1e-5)
    assert isinstance(policy, Policy)
    assert policy.source == "here"


def test_an_infinite_clip_is_none(tmp_path):
    policy = load_policy(
        saved(tmp_path, obs_clip=np.array(np.inf), out=np.array("raw"), W1=1e-3 * GOOD["W1"])
    )
    far = torch.full((1, 1, 3), 50.0)
    x = (50.0 - GOOD["obs_mean"]) / GOOD["obs_scale"]
    expected = clip(1e-3 * GOOD["W1"] @ np.tanh(GOOD["W0"] @ x + GOOD["b0"]) + GOOD["b1"])
    np.testing.assert_allclose(policy.act(far)[0, 0], expected, rtol=1e-5)


def test_short_observations_are_filled_with_zeros(tmp_path):
    policy = load_policy(saved(tmp_path), obs_dim=2)
    obs = torch.tensor([[[0.3, -0.4]]])
    np.testing.assert_allclose(policy.act(obs)[0, 0], by_hand(np.array([0.3, -0.4, 0.0])), rtol=1e-5)


def test_the_time_feature_counts_down_and_restarts(tmp_path):
    policy = load_policy(saved(tmp_path, time_feature=np.array(True)), obs_dim=2)
    obs = torch.tensor([[[0.3, -0.4]]])
    actions = [policy.act(obs)[0, 0] for _ in range(3)]
    for t, action in enumerate(actions):
        np.testing.assert_allclose(action, by_hand(np.array([0.3, -0.4, 1 - t / 1000])), rtol=1e-5)
    assert isinstance(policy, Episodic)
    policy.reset()
    assert torch.equal(policy.act(obs)[0, 0], actions[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W0": None, "W1": None}, "no key 'W0'"),
        ({"W0": None}, "no key 'W0'"),
        ({"b1": None}, "no key 'b1'"),
        ({"hidden": None}, "no key 'hidden'"),
        ({"obs_mean": None}, "no key 'obs_mean'"),
        ({"time_feature": None}, "no key 'time_feature'"),
        ({"hidden": np.array("rellu")}, "did you mean 'relu'"),
        ({"out": np.array("softmax")}, "unknown out 'softmax'"),
        ({"hidden": np.array(["tanh", "relu"])}, "one value is needed"),
        ({"W1": GOOD["W1"].T}, "W1 is"),
        ({"b0": np.zeros(5)}, "W0 is"),
        ({"W0": np.zeros(4)}, "2 axes of numbers"),
        ({"W0": np.full((4, 3), np.nan)}, "W0 holds NaN"),
        ({"b1": np.array(["a", "b"])}, "1 axes of numbers"),
        ({"obs_scale": np.array([1.0, 0.0, 1.0])}, "obs_scale must be positive"),
        ({"obs_scale": np.ones(2)}, "obs_scale must be positive"),
        ({"obs_clip": np.array(-1.0)}, "obs_clip is -1"),
        ({"obs_clip": np.array(np.nan)}, "obs_clip is nan"),
        ({"time_feature": np.array(1)}, "a bool is needed"),
        ({"b0": np.array([object()] * 4)}, "b0 holds pickled objects"),
    ],
)
def test_malformed_files(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        load_policy(saved(tmp_path, **changes))


def test_files_that_are_no_npz(tmp_path):
    with pytest.raises(DataError, match="no policy file"):
        load_policy(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    cut = saved(tmp_path).read_bytes()
    (tmp_path / "cut.npz").write_bytes(cut[: len(cut) // 2])
    for name in ("one.npy", "text.npz", "empty.npz", "cut.npz"):
        with pytest.raises(DataError, match=name):
            load_policy(tmp_path / name)


def test_damaged_members_are_refused(tmp_path):
    whole = bytearray(saved(tmp_path).read_bytes())
    at = whole.find(b"\x93NUMPY") + 140
    whole[at] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"damaged\.npz"):
        load_policy(tmp_path / "damaged.npz")


def test_dimensions_that_do_not_fit(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(MismatchError, match="2 actions, 6"):
        load_policy(path, action_dim=6)
    with pytest.raises(MismatchError, match="3 observations, there are 17"):
        load_policy(path, obs_dim=17)
    with pytest.raises(MismatchError, match="got 17"):
        load_policy(path).act(torch.zeros(1, 1, 17))
