"""Online learning: counts, snapshots, what counts as medium, determinism."""

import gymnasium
import pytest
import torch

from mbrl.agents import SAC
from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.types import EnvSpec
from mbrl.run.online import OnlineRun, Snapshot, train_online

PLAIN = EnvSpec("PlainTest-v0", {"max_episode_steps": 20})


class Counter:
    """An agent that counts its updates and pushes right once it has made any."""

    def __init__(self):
        self.updates = torch.zeros(1)
        self.sizes = []

    def act(self, obs, streams=None):
        return torch.ones(*obs.shape[:-1], 1) * (self.updates > 0) * 0.1

    def update(self, batch, streams):
        self.updates += 1
        self.sizes.append(tuple(batch.obs.shape))
        return {}

    def state_dict(self):
        return {"updates": self.updates}

    def load_state_dict(self, state):
        self.updates.copy_(state["updates"])


@pytest.fixture(autouse=True)
def _registered():
    gymnasium.register("PlainTest-v0", entry_point="tests.run.plain:Plain")
    yield
    del gymnasium.registry["PlainTest-v0"]


@pytest.mark.parametrize(("ratio", "updates"), [(1.0, 60), (0.5, 30), (2.0, 120), (0.01, 1)])
def test_updates_follow_the_ratio_after_the_warm_up(ratio, updates):
    agent = Counter()
    run = train_online(
        agent, PLAIN, steps=100, warmup=40, batch_size=8, updates_per_step=ratio, episodes=1, show=False
    )
    assert agent.updates == updates
    assert set(agent.sizes) == {(1, 8, 2)}
    assert run.replay.size == 100
    actions = run.replay.arrays["action"][:, 0]
    assert len(set(actions[:40])) == 40
    assert len(set(actions[42:])) == 1


def test_snapshots_are_copies_taken_when_stated():
    agent = Counter()
    run = train_online(
        agent, PLAIN, steps=100, warmup=40, snapshots=5, snapshots_at=[55], episodes=2, show=False
    )
    assert [s.step for s in run.snapshots] == [55, 60, 80, 100]
    assert [s.state["updates"].item() for s in run.snapshots] == [15, 20, 40, 60]
    assert run.at(55) is run.snapshots[0]
    with pytest.raises(ConfigError, match="no snapshot at step 20"):
        run.at(20)


def test_snapshots_are_evaluated():
    """Pushing right by 0.03 a step from x0: rewards x0 + 0.03 k, over 20 steps or until it leaves."""
    run = train_online(Counter(), PLAIN, steps=50, warmup=10, snapshots=1, episodes=3, show=False)
    assert 20 * (-0.1) + 0.03 * 210 < run.snapshots[-1].mean_return < 20 * 0.1 + 0.03 * 210
    assert abs(run.random_return) < 15


def test_medium_is_the_first_to_gain_its_share():
    snapshots = [Snapshot(i, r, {}) for i, r in enumerate([-8.0, 1.0, 3.9, 2.0, 11.0, 8.0])]
    run = OnlineRun(None, None, snapshots, random_return=-10.0)
    assert run.reaching(1 / 3).step == 1  # the bar is -10 + 18 / 3 = -4
    assert run.reaching(0.75).step == 2  # 3.5
    assert run.reaching(1.0).step == 4  # 8
    assert run.reaching(0.1).step == 0  # -8.2
    for fraction in (0.0, 1.1, -1.0):
        with pytest.raises(ConfigError, match="fraction"):
            run.reaching(fraction)


@pytest.mark.parametrize("final", [-10.0, -11.0, float("nan")])
def test_no_medium_where_nothing_was_learned(final):
    run = OnlineRun(None, None, [Snapshot(5, final, {})], random_return=-10.0)
    with pytest.raises(ConfigError, match="nothing was learned"):
        run.reaching(0.5)


@pytest.mark.parametrize(
    "bad",
    [
        {"warmup": 50},
        {"warmup": -1},
        {"updates_per_step": 0},
        {"batch_size": 0},
        {"snapshots_at": [51]},
        {"snapshots": 0},
    ],
)
def test_impossible_counts(bad):
    with pytest.raises(ConfigError, match="steps=50"):
        train_online(Counter(), PLAIN, **{"steps": 50, "warmup": 10, "show": False, **bad})


def test_a_broken_agent_stops_the_run():
    class Broken(Counter):
        def act(self, obs, streams=None):
            return super().act(obs) / (self.updates < 3)

    with pytest.raises(DivergenceError):
        train_online(Broken(), PLAIN, steps=50, warmup=10, show=False)


def test_same_seed_same_bits_and_a_longer_run_begins_alike():
    def trained(seed, steps):
        agent = SAC(9, 1, seeds=[seed], hidden=(8, 8))
        env = EnvSpec("InvertedDoublePendulum-v5")
        options = {"warmup": 20, "batch_size": 8, "snapshots": 1, "episodes": 1, "show": False}
        return train_online(agent, env, steps=steps, seed=seed, **options).replay.rows

    one, again, longer, other = trained(0, 40), trained(0, 40), trained(0, 45), trained(1, 40)
    for name, rows in one.items():
        assert torch.equal(rows, again[name])
        assert torch.equal(rows, longer[name][:40])
    assert not torch.equal(one["obs"], other["obs"])
