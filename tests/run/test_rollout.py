"""Truncated rollouts in a model whose every step is known."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, Transitions
from mbrl.run.rollout import rollout
from tests.fakes import Towards, Walk, random_transitions


def starts(seeds=2, n=6) -> Transitions:
    return random_transitions(seeds, n)


def by_step(rows: Transitions, horizon: int) -> Transitions:
    """Rows [S, k * B] as [k, S, B]."""
    return rows.map(lambda x: x.unflatten(1, (horizon, -1)).transpose(0, 1))


class Scripted(Walk):
    """Walk whose rollout b ends, or breaks, at the step a script says (0: never); scripts are [S, B]."""

    def __init__(self, ends: Tensor, breaks: Tensor | None = None, broken: str = "next_obs") -> None:
        super().__init__()
        self.script, self.breaks, self.broken = ends, breaks, broken
        self.seen: list[Tensor] = []

    def step(self, carry, obs, action, streams, *, members=False) -> DynamicsStep:
        self.seen.append(obs)
        out = super().step(carry, obs, action, streams, members=members)
        now = carry + 1
        out = out._replace(terminal=self.script == now)
        if self.breaks is not None:
            value = getattr(out, self.broken).clone()
            value[self.breaks == now] = float("nan")
            out = out._replace(**{self.broken: value})
        return out


@pytest.mark.parametrize("horizon", [1, 4])
def test_rows_are_transitions_of_the_model_step_by_step(horizon):
    begin = starts()
    rows, alive = rollout(Walk(), Towards(0.5), begin, horizon, Streams((0, 1), "r"))
    assert alive.shape == (2, 6 * horizon)
    assert alive.all()
    assert not rows.timeout.any()
    assert rows.sim_state is None
    steps = by_step(rows, horizon)
    assert torch.equal(steps.obs[0], begin.obs)
    for t in range(horizon):
        assert (steps.step[t] == t + 1).all()
        expected = steps.obs[t].clone()
        expected[..., :2] += steps.action[t]
        assert torch.equal(steps.next_obs[t], expected)
        assert torch.equal(steps.reward[t], -expected.square().sum(-1))
        if t:
            assert torch.equal(steps.obs[t], steps.next_obs[t - 1])


def test_by_hand():
    begin = Transitions(**{k: v[:1, :1] for k, v in vars(starts()).items() if v is not None})
    begin = replace(begin, obs=torch.tensor([[[2.5, 0.25, 7.0]]]))

    class Deterministic(Towards):
        def act(self, obs, streams=None):
            return super().act(obs)

    rows, _ = rollout(Walk(), Deterministic(), begin, 3, Streams((0,), "r"))
    assert rows.action[0].tolist() == [[-1.0, -0.25], [-1.0, 0.0], [-0.5, 0.0]]
    assert rows.next_obs[0].tolist() == [[1.5, 0.0, 7.0], [0.5, 0.0, 7.0], [0.0, 0.0, 7.0]]
    assert rows.reward[0].tolist() == [-51.25, -49.25, -49.0]
    assert rows.step[0].tolist() == [1, 2, 3]


SCRIPT = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=2, max_size=2)


@settings(deadline=None, max_examples=30)
@given(SCRIPT)
def test_no_row_after_a_terminal_and_shapes_stay_fixed(script):
    ends, begin = torch.tensor(script), starts(n=5)
    rows, alive = rollout(Scripted(ends), Towards(), begin, 4, Streams((0, 1), "r"))
    assert alive.shape == (2, 20)
    masks, steps = alive.unflatten(1, (4, 5)), by_step(rows, 4)
    for t in range(1, 5):
        assert torch.equal(masks[:, t - 1], (ends == 0) | (t <= ends))
        assert torch.equal(steps.terminal[t - 1] & masks[:, t - 1], ends == t)
        if t > 1:  # what is alive goes on from where it was
            here = masks[:, t - 1]
            assert torch.equal(steps.obs[t - 1][here], steps.next_obs[t - 2][here])
            assert torch.equal(steps.obs[t - 1][~here], begin.obs[~here])


@settings(deadline=None, max_examples=30)
@given(SCRIPT, SCRIPT, st.sampled_from(["next_obs", "reward"]))
def test_no_row_is_not_finite_and_the_model_never_sees_one(ends, breaks, broken):
    ends, breaks = torch.tensor(ends), torch.tensor(breaks)
    model = Scripted(ends, breaks, broken)
    rows, alive = rollout(model, Towards(), starts(n=5), 4, Streams((0, 1), "r"))
    for value in (rows.obs, rows.action, rows.reward, rows.next_obs, *model.seen):
        assert value.isfinite().all()
    masks = alive.unflatten(1, (4, 5))
    for t in range(1, 5):
        assert torch.equal(masks[:, t - 1], ((ends == 0) | (t <= ends)) & ((breaks == 0) | (t < breaks)))


def test_void_rows_do_not_disturb_the_living():
    begin, streams = starts(n=5), lambda: Streams((0, 1), "r")
    ends = torch.zeros(2, 5, dtype=torch.long)
    undisturbed, _ = rollout(Scripted(ends.clone()), Towards(), begin, 4, streams())
    ends[:, 2] = 1
    rows, alive = rollout(Scripted(ends), Towards(), begin, 4, streams())
    assert torch.equal(rows.next_obs[alive], undisturbed.next_obs[alive])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_action_that_is_not_finite_voids_its_row_even_if_the_model_swallows_it(value):
    class Clamping(Walk):
        def step(self, carry, obs, action, streams, *, members=False):
            return super().step(carry, obs, action.nan_to_num(0.0, 1.0, -1.0), streams, members=members)

    class Broken(Towards):
        def act(self, obs, streams=None):
            action = super().act(obs, streams)
            action[0, 3] = value
            return action

    _, alive = rollout(Clamping(), Broken(), starts(), 2, Streams((0, 1), "r"))
    assert alive.logical_not().nonzero().tolist() == [[0, 3], [0, 9]]


def test_a_penalty_changes_reward_and_terminal_and_ends_rollouts():
    def penalty(reward, terminal, prediction):
        u = (prediction.mean[..., 0, :, :] - prediction.mean[..., 1, :, :]).norm(dim=-1)
        assert torch.allclose(u, torch.full_like(u, 1.0))  # four entries, each off by 0.5
        return reward - 3 * u, terminal | (reward < -4)

    begin = starts(n=30)
    plain, _ = rollout(Walk(), Towards(), begin, 3, Streams((0, 1), "r"))
    rows, alive = rollout(Walk(disagreement=0.5), Towards(), begin, 3, Streams((0, 1), "r"), penalty)
    assert torch.allclose(rows.reward[alive], plain.reward[alive] - 3)
    assert torch.equal(rows.terminal[alive], plain.reward[alive] < -4)
    masks, ended = alive.unflatten(1, (3, 30)), rows.terminal.unflatten(1, (3, 30))
    assert ended[:, 0].any()
    assert torch.equal(masks[:, 1], ~ended[:, 0])


def test_a_penalty_that_is_not_finite_voids_the_row():
    def penalty(reward, terminal, prediction):
        return torch.where(reward < -4, torch.nan, reward), terminal

    rows, alive = rollout(Walk(), Towards(), starts(n=30), 2, Streams((0, 1), "r"), penalty)
    assert not alive.all()
    assert rows.reward.isfinite().all()
    assert (rows.reward[alive] >= -4).all()


def test_members_are_asked_for_only_where_a_penalty_reads_them():
    for penalty, asked in (({}, False), ({"penalty": lambda r, t, p: (r, t)}, True)):
        model = Walk()
        rollout(model, Towards(), starts(), 3, Streams((0, 1), "r"), **penalty)
        assert model.asked_for_members == [asked] * 3


def test_a_stack_is_its_singles():
    begin, seeds = starts(seeds=3), (5, 0, 9)
    rows, _ = rollout(Walk(noise=0.3), Towards(), begin, 4, Streams(seeds, "r"))
    for s, seed in enumerate(seeds):
        alone, _ = rollout(Walk(noise=0.3), Towards(), begin[s : s + 1], 4, Streams((seed,), "r"))
        for name, value in vars(alone).items():
            assert value is None or torch.equal(value[0], getattr(rows, name)[s])


def test_the_simulators_state_reaches_the_model():
    class Stateful(Walk):
        def begin(self, obs, sim_state=None):
            self.got = sim_state
            return 0

    model, state = Stateful(), torch.rand(2, 6, 4, dtype=torch.float64)
    rollout(model, Towards(), replace(starts(), sim_state=state), 1, Streams((0, 1), "r"))
    assert torch.equal(model.got, state)


def test_nothing_is_kept_for_a_backward_pass():
    class Learnt(Towards):
        weight = torch.nn.Parameter(torch.ones(2))

        def act(self, obs, streams=None):
            return super().act(obs, streams) * self.weight

    rows, _ = rollout(Walk(), Learnt(), starts(), 2, Streams((0, 1), "r"))
    assert not rows.reward.requires_grad
