"""The guard's diagnosis: seed, update, figure, cause; of every row that shows divergence."""

import re

import pytest

from mbrl.run.guard import diverged


def row(**figures):
    return {"update": 40, "seed": 3, "critic/loss": 1.0, "critic/q_mean": 2.0, **figures}


def test_finite_rows_pass():
    assert diverged([row(), row(**{"critic/q_mean": -1e7})], 1e7) == {}
    assert diverged([], None) == {}


@pytest.mark.parametrize("name", ["critic/loss", "actor/gradient_norm", "source/alive"])
def test_a_figure_that_is_not_finite_is_named_with_seed_update_and_the_others(name):
    found = diverged([row(seed=0), row(**{name: None})], None)
    assert list(found) == [1]
    assert re.match(rf"seed 3, update 40: {name} not finite \(.*critic/q_mean 2", found[1])
    assert ("critic/loss 1" in found[1]) == (name != "critic/loss")


def test_all_broken_figures_are_named_and_no_empty_parenthesis_follows():
    found = diverged([row(**{"critic/loss": None, "critic/q_mean": None})], 1e7)
    assert found == {0: "seed 3, update 40: critic/loss, critic/q_mean not finite"}


def test_every_bad_row_is_reported_by_its_place_even_where_seeds_repeat():
    bad = {"critic/q_mean": 2e7}
    found = diverged([row(**bad), row(), row(seed=5, **bad), row(**{"critic/loss": None})], 1e7)
    assert list(found) == [0, 2, 3]
    assert [text.split(",")[0] for text in found.values()] == ["seed 3", "seed 5", "seed 3"]


@pytest.mark.parametrize("name", ["reach/q_depth_3", "eval/return"])
def test_figures_that_may_have_no_value_pass(name):
    assert diverged([row(**{name: None})], 1e7) == {}


@pytest.mark.parametrize("q", [1.1e7, -1.1e7])
def test_values_beyond_the_limit_end_a_seed_either_way(q):
    (text,) = diverged([row(**{"critic/q_mean": q})], 1e7).values()
    assert re.match(r"seed 3, update 40: mean Q is -?1\.1e\+07, beyond train.q_limit=1e\+07", text)
    assert diverged([row(**{"critic/q_mean": q})], None) == {}


def test_rows_without_critics_pass():
    assert diverged([{"update": 1, "seed": 0, "actor/loss": 1.0}], 1e7) == {}
