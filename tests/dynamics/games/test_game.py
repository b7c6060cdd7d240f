"""Games: rewards against the formulas, optima against brute force."""

from itertools import combinations

import pytest
import torch

from mbrl.core.errors import ConfigError, DataError
from mbrl.dynamics.games.game import GAMES, make_game
from mbrl.dynamics.games.optimum import find_optimum
from mbrl.dynamics.games.polynomial import Polynomial

NAMED = ["sign_agreement", "action_agreement", "twin_peaks"]


def naive_reward(name, row):
    pairs = sum((a - b) ** 2 for a, b in combinations(row, 2))
    if name == "sign_agreement":
        out = 1.0
        for a in row:
            out *= a
        return out
    if name == "action_agreement":
        return -pairs
    mean = sum(row) / len(row)
    return -((mean**2 / 0.49 - 1) ** 2) + 1.2 * mean - pairs


def actions(rows, agents):
    g = torch.Generator().manual_seed(1)
    return 2 * torch.rand(rows, agents, 1, generator=g, dtype=torch.float64) - 1


@pytest.mark.parametrize("agents", [2, 3, 5])
@pytest.mark.parametrize("name", NAMED)
def test_rewards_are_those_of_a_naive_loop(name, agents):
    x = actions(40, agents)
    naive = [naive_reward(name, row) for row in x.squeeze(-1).tolist()]
    torch.testing.assert_close(make_game(name, {"agents": agents}).reward(x), torch.tensor(naive).double())


@pytest.mark.parametrize("name", NAMED)
def test_gradients_are_autograds(name):
    game, x = make_game(name, {"agents": 3}), actions(40, 3).requires_grad_()
    (exact,) = torch.autograd.grad(game.reward(x).sum(), x)
    torch.testing.assert_close(game.gradient(x.detach()), exact)
    assert game.gradient(actions(6, 3).view(2, 3, 3, 1)).shape == (2, 3, 3, 1)


@pytest.mark.parametrize("agents", [2, 3, 4])
@pytest.mark.parametrize("name", NAMED)
def test_closed_forms_are_what_the_search_finds(name, agents):
    game = make_game(name, {"agents": agents})
    found = find_optimum(game.polynomial)
    assert found.value == pytest.approx(game.optimum.value, abs=1e-10)
    nearest = torch.cdist(found.points, game.optimum.points, p=float("inf")).amin(1)
    # A diagonal is given in steps: a point of it may lie half a step away.
    assert nearest.max() < (0.0051 if name == "action_agreement" else 1e-6)
    if name != "action_agreement":
        assert len(found.points) == len(game.optimum.points)


@pytest.mark.parametrize("name", NAMED)
def test_no_action_on_a_fine_grid_is_better(name):
    game, axis = make_game(name), torch.linspace(-1, 1, 801, dtype=torch.float64)
    values = game.reward(torch.cartesian_prod(axis, axis).unsqueeze(-1))
    assert values.max() <= game.optimum.value + 1e-9
    assert values.max() > game.optimum.value - 1e-4
    at = game.reward(game.optimum.points.unsqueeze(-1))
    torch.testing.assert_close(at, torch.full_like(at, game.optimum.value))


@pytest.mark.parametrize("seed", range(8))
def test_the_search_misses_no_optimum_of_random_polynomials(seed):
    g = torch.Generator().manual_seed(seed)
    exponents = torch.randint(4, (6, 2), generator=g).tolist()
    weights = torch.randn(6, generator=g).tolist()
    polynomial = Polynomial.of(list(zip(weights, exponents, strict=True)))
    axis = torch.linspace(-1, 1, 1501, dtype=torch.float64)
    brute = polynomial(torch.cartesian_prod(axis, axis)).max()
    found = find_optimum(polynomial)
    assert brute <= found.value + 1e-12
    assert found.value - brute < 1e-4
    torch.testing.assert_close(
        polynomial(found.points), torch.full((len(found.points),), found.value).double()
    )


def test_sign_agreement_of_three_has_four_optima():
    points = {tuple(p) for p in make_game("sign_agreement", {"agents": 3}).optimum.points.tolist()}
    assert points == {(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)}


def test_twin_peaks_has_a_lower_peak_that_is_a_local_optimum():
    game = make_game("twin_peaks")
    high, low = game.optimum.points[0], torch.tensor([-0.607, -0.607]).double()
    around = low + 0.2 * (2 * torch.rand(500, 2, generator=torch.Generator().manual_seed(0)).double() - 1)
    top = around[game.polynomial(around).argmax()]
    assert (top - low).abs().max() < 0.1
    assert game.optimum.value - game.polynomial(top) > 1.0
    assert game.gradient(high.view(1, 2, 1)).abs().max() < 1e-12


def test_twin_peaks_without_tilt_has_two_optima():
    points = make_game("twin_peaks", {"tilt": 0.0}).optimum.points
    torch.testing.assert_close(points, torch.tensor([[-0.7, -0.7], [0.7, 0.7]]).double())


def test_a_users_polynomial_has_its_optimum_found():
    game = make_game("polynomial", {"terms": [(-1.0, [2, 0]), (0.5, [1, 0]), (1.0, [0, 1])]})
    torch.testing.assert_close(game.optimum.points, torch.tensor([[0.25, 1.0]]).double())
    assert game.optimum.value == pytest.approx(1.0625, abs=1e-12)


def test_distance_is_to_the_nearest_optimum():
    game = make_game("sign_agreement")
    x = torch.tensor([[[0.9], [0.7]], [[-1.0], [-0.5]], [[-1.0], [1.0]]])
    torch.testing.assert_close(game.distance(x), torch.tensor([0.3, 0.5, 2.0]))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sign_agrement", {}, "unknown game 'sign_agrement'; did you mean 'sign_agreement'"),
        ("sign_agreement", {"agents": 1}, "agents=1, needs a whole number of at least 2"),
        ("sign_agreement", {"agents": 2.0}, "needs a whole number"),
        ("twin_peaks", {"height": 1}, "game twin_peaks does not take"),
        ("twin_peaks", {"tilt": 5.0}, "leave 1 peaks"),
        ("twin_peaks", {"peak": 1.5}, "needs 0 < peak < 1"),
        ("polynomial", {}, "game polynomial does not take"),
        ("polynomial", {"terms": [(1.0, (2,))]}, "at least 2 agents, got 1"),
        ("polynomial", {"agents": 3, "terms": [(1.0, (2, 1))]}, "agents=3, but its terms have 2 exponents"),
    ],
)
def test_unknown_games_and_options(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_game(name, options)


def test_an_optimum_of_many_agents_is_refused_before_any_search():
    game = make_game("polynomial", {"terms": [(1.0, (1,) * 9)]})
    with pytest.raises(ConfigError, match="game of 9 agents"):
        _ = game.optimum


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 1), (2,)])
def test_actions_of_another_shape(shape):
    with pytest.raises(DataError, match=r"actions are \[..., 2, 1\]"):
        make_game("sign_agreement").reward(torch.zeros(shape))


def test_every_game_has_an_environment_id():
    from mbrl.dynamics.games.dataset import ENV_IDS

    assert ENV_IDS.keys() == GAMES.keys()
