"""The batched simulator against env.step, environment by environment, version by version."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Counted, EnvSpec, Tracing
from mbrl.dynamics.monte_carlo import MonteCarloOracle
from mbrl.dynamics.true_dynamics import TrueDynamics
from mbrl.dynamics.uncertainty import MEASURES
from mbrl.run.rollout import rollout
from tests.dynamics.trajectories import ENVS, record, step_from
from tests.fakes import random_transitions

EXACT = {"rtol": 0, "atol": 1e-9}
HOPPER = np.array([0, 1.25, *[0.0] * 10])


def strength(spec):
    """Pendulums fall at once under large actions."""
    return 0.1 if spec.id.startswith("Inverted") else 1.2


@pytest.fixture(scope="module", params=ENVS, ids=lambda spec: spec.id)
def spec(request):
    return request.param


@pytest.fixture(scope="module")
def path(spec):
    return record(spec, 400, strength=strength(spec))


@pytest.fixture(scope="module")
def truth(spec):
    return TrueDynamics(spec, threads=1)


def test_a_step_from_any_state_is_the_environments(spec, truth, path):
    found = truth.simulate(path.state[::4], path.action[::4])
    for mine, theirs in zip(found, step_from(spec, path.state[::4], path.action[::4]), strict=True):
        np.testing.assert_allclose(mine, theirs, **EXACT)


def test_every_step_along_the_environments_own_path(spec, truth, path):
    state, obs, reward, terminal = truth.simulate(path.state, path.action)
    np.testing.assert_allclose(state, path.next_state, **EXACT)
    np.testing.assert_array_equal(terminal, path.terminal)
    assert spec.id.startswith("HalfCheetah") or path.terminal.any()
    # Ant is paid for where its last simulator step began, which only a carry knows.
    known = path.first if spec.id.startswith("Ant") else np.ones(len(reward), dtype=bool)
    np.testing.assert_allclose(reward[known], path.reward[known], **EXACT)
    np.testing.assert_allclose(obs, path.obs, **EXACT)


def test_carried_along_an_episode_nothing_is_lost(truth, path):
    for part in path.episodes(25):
        carry = truth.at(path.state[part][:1])
        for t, action in enumerate(path.action[part]):
            carry, obs, reward, terminal = truth.advance(carry, action[None])
            row = part.start + t
            np.testing.assert_allclose(carry.state[0], path.next_state[row], **EXACT)
            np.testing.assert_allclose(obs[0], path.obs[row], **EXACT)
            np.testing.assert_allclose(reward[0], path.reward[row], **EXACT)
            assert terminal[0] == path.terminal[row]


def test_single_precision_is_all_that_step_loses(truth, path):
    rows = slice(0, 30)
    state = torch.from_numpy(path.state[rows])[None]
    action = torch.from_numpy(path.action[rows])[None]
    found = truth.step(truth.at(state.numpy()), None, action, None, members=True)
    after, obs, reward, terminal = truth.simulate(state, action)
    assert torch.equal(found.next_obs, torch.from_numpy(obs).float())
    assert torch.equal(found.reward, torch.from_numpy(reward).float())
    assert torch.equal(found.terminal, torch.from_numpy(terminal))
    assert torch.equal(truth.sim_state(found.carry), torch.from_numpy(after))


def test_observations_give_their_states_back(spec, truth, path):
    """A step from the state that an observation shows is the step from the state itself, up to single precision."""
    rows = np.flatnonzero(~path.terminal[:-1])
    obs = torch.from_numpy(path.obs[rows]).float()[None]
    known = truth.reconstructable(obs)
    bounded = spec.id.startswith(("Hopper", "Walker2d", "InvertedDouble"))
    clipped = (np.abs(path.next_state[rows, truth.nq :]) >= 10).any(-1) & bounded
    np.testing.assert_array_equal(known[0].numpy(), ~clipped)
    found = truth.sim_state(truth.begin(obs[:, known[0]]))[0].numpy()
    skipped = truth.task.layout.skipped
    assert (found[:, :skipped] == 0).all()
    want = path.next_state[rows][~clipped]
    np.testing.assert_allclose(found[:, skipped:], want[:, skipped:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("index", [2, 10], ids=["in C++", "row by row"])
def test_neither_threads_nor_neighbours_change_a_bit(index):
    path = record(ENVS[index], 60)
    one, two = (TrueDynamics(ENVS[index], threads=n).simulate(path.state, path.action) for n in (1, 2))
    order = np.random.default_rng(0).permutation(60)
    mixed = TrueDynamics(ENVS[index], threads=2).simulate(path.state[order], path.action[order])
    for a, b, c in zip(one, two, mixed, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[order], c)


def test_a_row_that_ended_is_left_where_it_is():
    truth = TrueDynamics(EnvSpec("Hopper-v4"), threads=1)
    state = np.stack([HOPPER, HOPPER])[None]
    state[0, 1, 2] = 0.199  # all but fallen over, and turning
    state[0, 1, 8] = 5.0
    simulated, advance = [], truth._advance
    truth._advance = lambda state, control: (simulated.append(len(state)), advance(state, control))[1]
    carry, still = truth.at(state), torch.zeros(1, 2, 3)
    steps = []
    for _ in range(3):
        steps.append(truth.step(carry, None, still, None))
        carry = steps[-1].carry
    assert [s.terminal[0].tolist() for s in steps] == [[False, True]] * 3
    assert [s.reward[0, 1].item() == 0 for s in steps] == [False, True, True]
    assert torch.equal(steps[2].next_obs[0, 1], steps[0].next_obs[0, 1])
    assert not torch.equal(steps[2].next_obs[0, 0], steps[0].next_obs[0, 0])
    np.testing.assert_array_equal(steps[2].carry.state[0, 1], steps[0].carry.state[0, 1])
    assert simulated == [2, 1, 1]


class Noisy:
    """Random actions on every joint."""

    def act(self, obs, streams=None):
        return (streams.randn(obs.shape[1], 3) + obs[..., :3]).clamp(-1, 1)


class Unparked:
    """The same simulator without a way to leave out rows."""

    def __init__(self, truth):
        self.begin, self.step = truth.begin, truth.step


@pytest.mark.parametrize("spec", [ENVS[2], EnvSpec("Hopper-v4")], ids=lambda spec: spec.id)
def test_an_oracle_simulates_the_rows_asked_for_alone_and_finds_the_same(spec):
    truth, path = TrueDynamics(spec, threads=1), record(spec, 24, strength=0.3)
    simulated, advance = [], truth._advance
    truth._advance = lambda state, control: (simulated.append(len(state)), advance(state, control))[1]
    state = torch.from_numpy(path.state).view(2, 12, -1)
    batch = random_transitions(2, 12, obs_dim=truth.obs_dim, action_dim=truth.action_dim)
    shown = torch.from_numpy(truth.task.layout.observe(path.state)).float().view(2, 12, -1)
    batch = replace(batch, obs=shown, next_obs=shown, sim_state=state)
    where = torch.arange(24).view(2, 12) % 5 == 0
    found, rows = [], []
    for dynamics in (Unparked(truth), truth):
        simulated.clear()
        oracle = MonteCarloOracle(dynamics, 0.9, rollouts=2, horizon=6)
        found.append(oracle.value(Noisy(), batch, where, Streams((0, 1), "x")))
        rows.append(list(simulated))
    assert torch.equal(*found)
    assert (found[0] != 0).equal(where)
    assert rows[0][0] == 48
    assert rows[1][0] == 2 * int(where.sum())
    assert max(rows[1]) == rows[1][0]
    none = oracle.value(Noisy(), batch, torch.zeros_like(where), Streams((0, 1), "x"))
    assert torch.equal(none, torch.zeros(2, 12, dtype=torch.float64))


def test_a_certain_model_has_no_uncertainty():
    truth = TrueDynamics(EnvSpec("Walker2d-v5"), threads=1)
    path = record(EnvSpec("Walker2d-v5"), 50)
    action = torch.from_numpy(path.action).view(2, 25, -1)
    found = truth.step(truth.at(path.state.reshape(2, 25, -1)), None, action, None, members=True)
    mean, std, elites = found.prediction
    assert isinstance(truth, Counted)
    assert mean.shape == (2, truth.members, 25, 18)
    assert truth.members == 1
    assert torch.equal(mean[:, 0], torch.cat([found.next_obs, found.reward[..., None]], dim=-1))
    assert not std.any()
    assert elites.shape == (2, 1)
    for measure in MEASURES.values():
        for members in ("all", "elites"):
            assert torch.equal(measure(found.prediction, members=members), torch.zeros(2, 25))


class Kick:
    """Full force on every joint."""

    def act(self, obs, streams=None):
        return torch.ones(*obs.shape[:-1], 3)


def test_a_rollout_keeps_true_states_and_stops_where_the_environment_does():
    truth, path = TrueDynamics(EnvSpec("Hopper-v4"), threads=1), record(EnvSpec("Hopper-v4"), 100)
    keep = ~path.terminal
    states, obs = (
        torch.from_numpy(path.next_state[keep])[None],
        torch.from_numpy(path.obs[keep]).float()[None],
    )
    shape = states.shape[:2]
    starts = random_transitions(*shape, obs_dim=11, action_dim=3)
    starts = type(starts)(**{**vars(starts), "obs": obs, "next_obs": obs, "sim_state": states})
    assert isinstance(truth, Tracing)
    rows, alive = rollout(truth, Kick(), starts, 5, Streams((0,), "x"), keep_state=True)
    found = truth.simulate(rows.sim_state, rows.action)
    assert torch.equal(rows.next_obs[alive], torch.from_numpy(found[1]).float()[alive])
    assert torch.equal(rows.terminal[alive], torch.from_numpy(found[3])[alive])
    assert rows.terminal[alive].any()
    n = shape[1]
    for step in range(1, 5):
        was = alive[:, (step - 1) * n : step * n] & ~rows.terminal[:, (step - 1) * n : step * n]
        assert torch.equal(alive[:, step * n : (step + 1) * n], was)


def test_starts_that_an_observation_does_not_show_are_refused_with_a_count():
    truth = TrueDynamics(EnvSpec("Walker2d-v4"), threads=1)
    obs = torch.zeros(2, 10, 17)
    obs[0, 3, 9] = 10.0
    obs[1, 4, 16] = -10.0
    obs[1, 5, 0] = torch.nan
    assert (~truth.reconstructable(obs)).nonzero().tolist() == [[0, 3], [1, 4], [1, 5]]
    with pytest.raises(
        MismatchError, match=r"3 of 20 starts cannot .* clipped at \+-10, .* infos/qpos and infos"
    ):
        truth.begin(obs)


def test_states_must_belong_to_their_observations():
    truth = TrueDynamics(EnvSpec("Hopper-v4"), threads=1)
    state = torch.from_numpy(np.stack([HOPPER] * 4))[None]
    state[0, 2, 8] = 12.0
    obs = state[..., 1:].clamp(-10, 10).float()
    assert torch.equal(truth.sim_state(truth.begin(obs, state)), state)
    moved = state.clone()
    moved[0, 1, 3] += 0.01
    with pytest.raises(MismatchError, match=r"not the state of the observation in 1 of 4 rows of Hopper-v4"):
        truth.begin(obs, moved)
    with pytest.raises(
        MismatchError, match=r"\(1, 4, 11\); Hopper-v4 needs \(1, 4, 12\), 6 positions then 6"
    ):
        truth.begin(obs, state[..., 1:])
    with pytest.raises(MismatchError, match="Hopper-v4 has observations of 11 numbers, these have 10"):
        truth.begin(obs[..., 1:], state)
    with pytest.raises(MismatchError, match=r"actions \(1, 4, 3\) at these states, got \(1, 4, 2\)"):
        truth.step(truth.begin(obs, state), obs, torch.zeros(1, 4, 2), None)


@pytest.mark.parametrize("recorded", ["2.3.7", "3.4.0", "3.3"])
def test_versions_on_this_side_of_the_change_pass(recorded):
    assert TrueDynamics(EnvSpec("Hopper-v4", {}, {"mujoco": recorded}), threads=1).obs_dim == 11


@pytest.mark.parametrize("recorded", ["3.5.0", "4.0.0"])
def test_versions_on_the_other_side_do_not(recorded):
    with pytest.raises(MismatchError, match=rf"mujoco {recorded} and this is mujoco 3\.\d.*contact margins"):
        TrueDynamics(EnvSpec("Hopper-v4", {}, {"mujoco": recorded}))


def test_no_threads_at_all():
    with pytest.raises(ConfigError, match="threads=0"):
        TrueDynamics(EnvSpec("Hopper-v4"), threads=0)
