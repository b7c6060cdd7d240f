"""Evaluation: first episodes only, reproducible, no cross-talk between seeds."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import mbrl.run.evaluate as module
from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import child_seed
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.evaluate import Evaluator, OneByOne, evaluate

COUNTER = EnvSpec("CounterTest-v0")
PENDULUM = EnvSpec("InvertedDoublePendulum-v5")


class Counter(gymnasium.Env):
    """Pays 1, 2, 3, ...; ends after a number of steps drawn at reset and shown in the observation."""

    action_space = Box(-1, 1, (1,), np.float32)
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)

    def __init__(self, endless=False, cut=None):
        self.endless, self.cut = endless, cut

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length, self.t = int(self.np_random.integers(1, 9)), 0
        return np.float32([self.length, 0]), {}

    def step(self, action):
        self.t += 1
        assert self.endless or self.t <= (self.cut or self.length), "stepped after the end"
        done = self.t == self.length and not self.endless
        return np.float32([self.length, self.t]), float(self.t), done, self.t == self.cut, {}


@pytest.fixture(autouse=True)
def _registered():
    gymnasium.register("CounterTest-v0", entry_point=Counter)
    yield
    del gymnasium.registry["CounterTest-v0"]


class Linear:
    """tanh of a linear map a seed, each row by itself, so that stacking changes no bit."""

    def __init__(self, seeds, obs_dim, action_dim):
        self.seen = []
        rows = [torch.randn(obs_dim, action_dim, generator=torch.Generator().manual_seed(s)) for s in seeds]
        self.weight = torch.stack(rows)

    def act(self, obs, streams=None):
        assert streams is None
        assert obs.dtype == torch.float32
        self.seen.append(obs)
        return torch.tanh((obs.unsqueeze(-1) * self.weight.unsqueeze(1)).sum(-2))


def test_every_environment_contributes_its_first_episode():
    policy = Linear([4, 5], 2, 1)
    result = evaluate(policy, COUNTER, seeds=[4, 5], episodes=6)
    drawn = policy.seen[0][..., 0].long()
    assert result.lengths.tolist() == drawn.tolist()
    assert len(set(drawn.flatten().tolist())) > 2
    assert torch.equal(result.returns, (drawn * (drawn + 1) / 2).double())
    assert len(policy.seen) == drawn.max()
    assert policy.seen[0].shape == (2, 6, 2)


def test_never_ending_environments_are_cut():
    endless = EnvSpec("CounterTest-v0", {"endless": True})
    result = evaluate(Linear([0], 2, 1), endless, seeds=[0], episodes=2, max_steps=5)
    assert result.lengths.tolist() == [[5, 5]]
    assert result.returns.tolist() == [[15.0, 15.0]]
    assert Evaluator(endless, seeds=[0], episodes=1).cap == 1000


def test_the_environments_own_limit_counts():
    spec = EnvSpec("CounterTest-v0", {"endless": True, "max_episode_steps": 3})
    assert evaluate(Linear([0], 2, 1), spec, seeds=[0], episodes=1).lengths.tolist() == [[3]]


def test_a_cut_by_the_environment_itself_ends_the_episode():
    spec = EnvSpec("CounterTest-v0", {"endless": True, "cut": 2})
    assert evaluate(Linear([0], 2, 1), spec, seeds=[0], episodes=3).lengths.tolist() == [[2, 2, 2]]


def test_a_seed_sees_the_same_alone_and_in_a_stack():
    both = evaluate(Linear([0, 1], 9, 1), PENDULUM, seeds=[0, 1], episodes=3)
    for row, seed in enumerate([0, 1]):
        alone = evaluate(Linear([seed], 9, 1), PENDULUM, seeds=[seed], episodes=3)
        assert torch.equal(both.returns[row], alone.returns[0])
        assert torch.equal(both.lengths[row], alone.lengths[0])
    assert not torch.equal(both.returns[0], both.returns[1])


def test_reused_environments_repeat_themselves():
    evaluator = Evaluator(PENDULUM, seeds=[0, 1], episodes=3)
    policy = Linear([0, 1], 9, 1)
    first, other, again = evaluator(policy), evaluator(policy, index=7), evaluator(policy)
    evaluator.close()
    assert torch.equal(first.returns, again.returns)
    assert not torch.equal(first.returns, other.returns)


def test_agrees_with_gymnasiums_loop():
    """The same episode, stepped by hand in the plain environment."""
    policy = Linear([3], 9, 1)
    result = evaluate(policy, PENDULUM, seeds=[3], episodes=1)
    start = policy.seen[0][0, 0]
    env = gymnasium.make(PENDULUM.id)
    obs, _ = env.reset(seed=child_seed(3, "evaluate", "0", "0") % 2**31)
    assert torch.equal(torch.tensor(obs, dtype=torch.float32), start)
    total, done = 0.0, False
    while not done:
        action = policy.act(torch.tensor(obs, dtype=torch.float32)[None, None])[0, 0].numpy()
        obs, reward, terminated, truncated, _ = env.step(action)
        total, done = total + reward, terminated or truncated
    assert result.returns[0, 0].item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("name", ["InvertedDoublePendulum-v5", "Hopper-v5", "HalfCheetah-v5"])
def test_environments_stepped_together_give_the_same_to_the_last_bit(name):
    found = {}
    for together in (None, side_by_side):
        evaluator = Evaluator(EnvSpec(name), seeds=[0, 1], episodes=3, max_steps=60, together=together)
        assert isinstance(evaluator.stepper, OneByOne) == (together is None)
        sizes = evaluator.envs[0].observation_space.shape[0], evaluator.envs[0].action_space.shape[0]
        policy = Linear([0, 1], *sizes)
        found[together] = [evaluator(policy, index=i) for i in (0, 5)]
        evaluator.close()
    for a, b in zip(found[None], found[side_by_side], strict=True):
        assert torch.equal(a.returns, b.returns)
        assert torch.equal(a.lengths, b.lengths)
        assert a.lengths.flatten().unique().numel() > (name != "HalfCheetah-v5")


def test_environments_that_cannot_step_together_step_one_by_one():
    evaluator = Evaluator(COUNTER, seeds=[0], episodes=2, together=side_by_side)
    assert isinstance(evaluator.stepper, OneByOne)
    assert evaluator(Linear([0], 2, 1)).lengths.shape == (1, 2)


@pytest.mark.parametrize(
    ("limit", "asked", "cap"), [(3, None, 3), (3, 2, 2), (3, 5, 3), (None, 5, 5), (None, None, 1000)]
)
def test_whichever_limit_comes_first_caps_an_episode(limit, asked, cap):
    options = {"endless": True} | ({"max_episode_steps": limit} if limit else {})
    evaluator = Evaluator(EnvSpec("CounterTest-v0", options), seeds=[0], episodes=1, max_steps=asked)
    assert evaluator.cap == cap


def test_a_few_rows_are_acted_for_on_one_thread(monkeypatch):
    class Watched(Linear):
        def act(self, obs, streams=None):
            self.threads = torch.get_num_threads()
            return super().act(obs)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for few, threads in ((4, 1), (3, 2)):
            monkeypatch.setattr(module, "FEW_ROWS", few)
            policy = Watched([0, 1], 2, 1)
            evaluate(policy, COUNTER, seeds=[0, 1], episodes=2)
            assert policy.threads == threads
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nan_actions_name_seed_and_step():
    class Broken(Linear):
        def act(self, obs, streams=None):
            action = super().act(obs)
            if len(self.seen) == 2:
                action[1] = float("nan")
            return action

    spec = EnvSpec("CounterTest-v0", {"endless": True})
    with pytest.raises(DivergenceError, match=r"seed 12 .* step 1 .* episode 0") as caught:
        evaluate(Broken([11, 12], 2, 1), spec, seeds=[11, 12], episodes=2, max_steps=4)
    assert caught.value.members == {1: str(caught.value)}


def test_nan_actions_name_every_member_by_place_for_seeds_may_repeat():
    class Broken(Linear):
        def act(self, obs, streams=None):
            action = super().act(obs)
            action[[0, 2]] = float("nan")
            return action

    with pytest.raises(DivergenceError) as caught:
        evaluate(Broken([5, 6, 5], 9, 1), PENDULUM, seeds=[5, 6, 5], episodes=2)
    assert list(caught.value.members) == [0, 2]
    assert str(caught.value) == "; ".join(caught.value.members.values())
    assert all("the policy of seed 5 gave" in text for text in caught.value.members.values())


def test_policies_with_a_memory_are_reset():
    class Clock(Linear):
        resets = 0

        def reset(self):
            self.resets += 1

    evaluator, policy = Evaluator(COUNTER, seeds=[0], episodes=2), Clock([0], 2, 1)
    evaluator(policy)
    evaluator(policy)
    assert policy.resets == 2


@pytest.mark.parametrize("bad", [{"episodes": 0}, {"seeds": []}, {"max_steps": 0}])
def test_impossible_requests(bad):
    with pytest.raises(ConfigError):
        Evaluator(COUNTER, **{"seeds": [0], "episodes": 1, **bad})
