import json
from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.dynamics.grid_value import optimal_value
from mbrl.dynamics.reward_maps import plateau, sup
from mbrl.dynamics.simple_world import SimpleWorld, edge_of_reach, start_lattice
from mbrl.study.simple_env import row_of, train_cell
from mbrl.study.simple_env_cell import METHODS, Cell, Learner, Training, scale_critics, spread_biases
from mbrl.study.simple_env_measure import (
    Still,
    episode_return,
    exact_samples,
    failed,
    penalty,
    reference_returns,
    snapshot,
)
from mbrl.study.simple_env_picture import draw

TINY = Training(
    seeds=(0, 1), updates=6, eval_every=3, batch_size=16, starts=8, refresh_every=3, oracle_horizon=10
)
CELL = Cell("plateau_12_falling", "base", width=8)


class Out:
    """Walks outward in x, one unit a step."""

    def __init__(self, unit=1.0):
        self.unit = unit

    def act(self, obs, streams=None):
        return torch.tensor([1.0, 0.0]).expand_as(obs)


def test_returns_in_closed_form():
    world = SimpleWorld(lambda s: s[..., 0])
    assert episode_return(world, Still(), 1).item() == pytest.approx(0.0, abs=1e-5)
    assert episode_return(world, Out(), 2).tolist() == pytest.approx([30 * 31 / 2] * 2)
    in_other_units = SimpleWorld(lambda s: s[..., 0], unit=6.0)
    assert episode_return(in_other_units, Out(), 1).item() == pytest.approx(30 * 31 / 2, rel=1e-5)


def test_reference_returns_in_closed_form():
    """A tent with its ridge at n = 5: straight to it, one unit a step, and stay."""
    tent = plateau(5.0, 100.0, tilt=-0.3)
    nothing, best = reference_returns(SimpleWorld(tent))
    starts = sup(start_lattice())
    assert nothing == pytest.approx(30 * (starts / 5).mean().item(), rel=1e-5)
    steps = torch.arange(1, 31)
    climb = ((starts.unsqueeze(-1) + steps).clamp_max(5.0) / 5).sum(-1).mean().item()
    assert best == pytest.approx(climb, rel=1e-5)


def test_the_verdict():
    returns = torch.tensor([4.9, 5.1, float("nan"), float("-inf")])
    assert failed(returns, 0.0, 10.0).tolist() == [True, False, True, True]


def test_the_effective_penalty_by_hand():
    assert penalty(torch.tensor([[[1.0, 5.0], [4.0, 5.0], [4.0, 2.0]]])).tolist() == [[2.0, 2.0]]


def test_exact_samples_fill_the_sets():
    inside, ring = exact_samples(3, spacing=1.0)
    assert len(inside) == 9 * 9
    assert len(ring) == 11 * 11 - 9 * 9
    assert edge_of_reach(ring, 3).all()


def targets(method, **options):
    """Targets of a learner and of its untreated twin on one batch, and the batch."""
    learner = Learner(replace(CELL, method=method, **options), TINY)
    learner.experience.refresh(learner.agent, learner.streams)
    batch = learner.experience.sample(learner.streams)
    # Rows that do reach the edge, which the first policies do not.
    state = torch.linspace(9.0, 13.0, 16).expand(2, 16)
    batch = replace(
        batch, next_obs=torch.stack([state, 0 * state], -1), step=torch.arange(16).expand(2, 16) % 4 + 7
    )
    if batch.next_value is not None:
        where = torch.ones(2, 16, dtype=torch.bool)
        oracle = learner.experience.source.oracle
        batch = replace(
            batch, next_value=oracle.value(learner.agent, batch, where, Streams((0, 1), "o")).float()
        )
    treated = learner.agent.target(batch, Streams((0, 1), "t"))
    learner.agent.edge = None
    return treated, learner.agent.target(batch, Streams((0, 1), "t")), batch


def test_the_patch_changes_targets_at_the_exact_edge_alone_and_to_the_optimum():
    treated, plain, batch = targets("base_patch")
    edge = edge_of_reach(batch.next_obs, 10) & (batch.step == 10)
    assert 0 < edge.sum() < (batch.step == 10).sum()
    assert torch.equal(treated[~edge], plain[~edge])
    world = SimpleWorld("plateau_12_falling")
    best = optimal_value(world.reward, gamma=0.99, horizon=30).at(batch.next_obs)
    torch.testing.assert_close(treated[edge], (batch.reward + 0.99 * best.float())[edge])


@pytest.mark.parametrize("method", ["base_patch_last", "base_patch_last_policy", "constant"])
def test_other_treatments_change_targets_at_the_last_step_alone(method):
    treated, plain, batch = targets(method)
    last = batch.step == 10
    assert torch.equal(treated[~last], plain[~last])
    assert (treated[last] != plain[last]).all()


def test_dropping_the_last_step_leaves_no_such_row():
    learner = Learner(replace(CELL, method="drop"), TINY)
    learner.advance(1)
    assert int(learner.experience.synthetic.sample(500, learner.streams).step.max()) == 9


def test_scales_and_biases_of_the_first_weights():
    plain, scaled = (Learner(replace(CELL, hidden_scale=h), TINY) for h in (1.0, 2.0))
    for a, b in zip(plain.agent.critics.net.layers[:-1], scaled.agent.critics.net.layers[:-1], strict=True):
        torch.testing.assert_close(2 * a.weight, b.weight)
    assert torch.equal(plain.agent.critics.net.layers[-1].weight, scaled.agent.critics.net.layers[-1].weight)
    scale_critics(plain.agent, 1.0, 30.0)
    assert plain.agent.critics.net.layers[-1].weight.abs().max().item() == pytest.approx(0.09, rel=0.2)
    spread_biases(plain.agent, 0.5, TINY.seeds)
    biases = plain.agent.critics.net.layers[0].bias.detach()
    assert -0.4 <= biases.min() < 0.0
    assert 0.3 < biases.max() <= 0.6
    assert biases.std() > 0.2
    for a, b in zip(plain.agent.critics.parameters(), plain.agent.targets.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_the_agent_sees_is_the_scaled_and_shifted_reward_in_its_unit():
    learner = Learner(replace(CELL, reward_scale=0.1, reward_shift=2.0, unit=6.0), TINY)
    obs = torch.tensor([[[0.5, 0.0]]])
    out = learner.world.step(None, obs, torch.tensor([[[1.0, 0.0]]]), learner.streams)
    assert out.next_obs[0, 0].tolist() == pytest.approx([4 / 6, 0.0])
    assert out.reward.item() == pytest.approx(0.1 * (4 / 5 + 2))
    assert learner.experience.dataset.data.obs.abs().max() <= 2 / 6


@pytest.mark.parametrize("method", ["base", "base_patch_policy", "ravl_n10_eta1"])
def test_a_stack_equals_single_runs_and_the_same_seed_gives_the_same_bits(method):
    def course(seeds):
        learner = Learner(replace(CELL, method=method), replace(TINY, seeds=seeds))
        learner.advance(6)
        return torch.cat([p.detach().flatten(1) for p in learner.agent.critic_parameters], dim=1)

    together, again, alone = course((0, 1)), course((0, 1)), course((1,))
    assert torch.equal(together, again)
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_looking_changes_nothing_that_is_learned():
    looked, plain = (Learner(CELL, TINY) for _ in range(2))
    for learner in (looked, plain):
        learner.advance(3)
    snapshot(looked)
    for learner in (looked, plain):
        learner.advance(3)
    assert all(map(torch.equal, looked.agent.critic_parameters, plain.agent.critic_parameters))


def test_rows_hold_what_is_asked_for_and_can_be_drawn(tmp_path):
    rows = [train_cell(replace(CELL, method=m), TINY) for m in ("base", "drop", "ravl_n2_eta1")]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    first = rows[0]
    wanted = {
        "reward_map",
        "method",
        "seeds",
        "failed",
        "return_mean",
        "q_minus_oracle",
        "num_critics",
        "eta",
    }
    assert wanted | {"width", "updates", "penalty_within", "penalty_edge", "edge_share"} <= first.keys()
    assert (first["seeds"], first["updates"], first["course"]["update"]) == ([0, 1], 6, [3, 6])
    assert first["nothing_return"] < first["threshold_return"] < first["optimum_return"]
    assert first["failed"] == len(first["failed_seeds"]) / 2
    assert len(first["episodes"]) == 2
    assert len(first["episodes"][0]) == 31
    assert draw(rows, tmp_path).stat().st_size > 15_000


def test_a_value_that_is_not_finite_is_null_and_fails():
    learner = Learner(CELL, TINY)
    learner.advance(1)
    look = snapshot(learner)
    look["return"] = torch.full_like(look["return"], torch.nan)
    row = row_of(learner, [(1, look)])
    assert (row["failed"], row["return_mean"]) == (1.0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "bse"}, "unknown method 'bse'"), ({"reward_map": "bowls"}, "unknown reward map 'bowls'")],
)
def test_unknown_names(options, message):
    with pytest.raises(ConfigError, match=message):
        Learner(replace(CELL, **options), TINY)


def test_the_grid_of_methods_is_what_was_asked_for():
    assert {f"ravl_n{n}_eta{e}" for n in (2, 10, 30) for e in (0, 1, 10, 100)} <= METHODS.keys()
