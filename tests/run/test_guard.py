"""The guard's diagnosis: seed, update, figure, cause."""

import pytest

from mbrl.core.errors import DivergenceError
from mbrl.run.guard import check


def row(**figures):
    return {"update": 40, "seed": 3, "critic/loss": 1.0, "critic/q_mean": 2.0, **figures}


def test_finite_rows_pass():
    check([row(), row(**{"critic/q_mean": -1e7})], 1e7)
    check([], None)


@pytest.mark.parametrize("name", ["critic/loss", "actor/gradient_norm", "source/alive"])
def test_a_figure_that_is_not_finite_is_named_with_seed_update_and_the_others(name):
    with pytest.raises(
        DivergenceError, match=rf"seed 3, update 40: {name} not finite \(.*critic/q_mean 2"
    ) as e:
        check([row(update=40, seed=0), row(**{name: None})], None)
    assert ("critic/loss 1" in str(e.value)) == (name != "critic/loss")


def test_all_broken_figures_are_named_and_no_empty_parenthesis_follows():
    with pytest.raises(DivergenceError, match=r"^seed 3, update 40: critic/loss, critic/q_mean not finite$"):
        check([row(**{"critic/loss": None, "critic/q_mean": None})], 1e7)


@pytest.mark.parametrize("name", ["reach/q_depth_3", "eval/return"])
def test_figures_that_may_have_no_value_pass(name):
    check([row(**{name: None})], 1e7)


@pytest.mark.parametrize("q", [1.1e7, -1.1e7])
def test_values_beyond_the_limit_end_the_run_either_way(q):
    with pytest.raises(
        DivergenceError, match=r"seed 3, update 40: mean Q is -?1\.1e\+07, beyond train.q_limit=1e\+07"
    ):
        check([row(**{"critic/q_mean": q})], 1e7)
    check([row(**{"critic/q_mean": q})], None)


def test_rows_without_critics_pass():
    check([{"update": 1, "seed": 0, "actor/loss": 1.0}], 1e7)
