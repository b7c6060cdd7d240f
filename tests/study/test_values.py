"""What is read off a run folder, by hand-written files."""

import json

from mbrl.study.values import curve_values, final_values, last, reach_values

SEEDS = [1, 0]
RESULT = {
    "status": "finished",
    "updates": 20,
    "seconds": 3.5,
    "seeds": SEEDS,
    "return": {"last": [1.0, 2.0], "mean_last_10": [3.0, 4.0], "best": [5.0, 6.0]},
    "normalized": None,
    "dataset": {"id": "d", "return_mean": 9.0},
}
ROWS = [
    {
        "update": 0,
        "seed": 1,
        "eval/return": 10.0,
        "bias/overestimate_depth_0": -1.0,
        "bias/overestimate_depth_10": 7.0,
    },
    {
        "update": 0,
        "seed": 0,
        "eval/return": 11.0,
        "bias/overestimate_depth_0": -2.0,
        "bias/overestimate_depth_10": None,
    },
    {
        "update": 10,
        "seed": 1,
        "critic/q_mean": 0.5,
        "reach/penalty_depth_0": 1.0,
        "reach/penalty_depth_2": 5.0,
    },
    {
        "update": 10,
        "seed": 0,
        "critic/q_mean": 0.6,
        "reach/penalty_depth_0": 2.0,
        "reach/penalty_depth_10": 9.0,
    },
    {
        "update": 20,
        "seed": 1,
        "critic/q_mean": 1.5,
        "reach/penalty_depth_2": 3.0,
        "reach/penalty_depth_10": 8.0,
    },
    {"update": 20, "seed": 0, "critic/q_mean": None, "eval/return": 12.0, "bias/overestimate_depth_0": 4.0},
]


def make(folder, result=RESULT):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    if result:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_final_values(tmp_path):
    assert final_values(make(tmp_path), SEEDS) == {
        "dataset": "d",
        "behaviour_return": 9.0,
        "status": "finished",
        "diagnosis": None,
        "updates": 20,
        "seconds": 3.5,
        "diverged": {},
        "return_last": [1.0, 2.0],
        "return_mean_last_10": [3.0, 4.0],
        "return_best": [5.0, 6.0],
        "normalized_last": None,
        "normalized_mean_last_10": None,
        "normalized_best": None,
        "q_last": [1.5, 0.6],  # the last that is finite
        "overestimate_last": [-1.0, 4.0],
        "overestimate_edge_last": [7.0, None],  # depth 10 is the edge, not 2 and not 9
    }


def test_seeds_that_diverged_are_handed_on(tmp_path):
    lost = {"0": {"update": 12, "diagnosis": "Q is lost"}}
    values = final_values(make(tmp_path, RESULT | {"diverged": lost}), SEEDS)
    assert values["diverged"] == lost


def test_a_run_that_never_ended_has_no_values(tmp_path):
    values = final_values(make(tmp_path, result=None), SEEDS)
    assert values["status"] is None
    assert values["return_last"] is None
    assert values["dataset"] is None


def test_reach_values_are_means_within_and_the_last_at_the_edge(tmp_path):
    # Seed 1: depths 0 and 2 end at 1 and 3; seed 0: depth 0 alone, at 2.
    assert reach_values(make(tmp_path), SEEDS) == {"penalty_reach": [2.0, 2.0], "penalty_edge": [8.0, 9.0]}


def test_a_run_without_critics_has_no_reach_values(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": 0, "seed": 0}\n')
    assert reach_values(tmp_path, [0]) == {"penalty_reach": None, "penalty_edge": None}


def test_curves_have_a_value_an_evaluation(tmp_path):
    assert curve_values(make(tmp_path), SEEDS) == {
        "at_update": [0, 20],
        "return_curve": [[10.0, None], [11.0, 12.0]],
        "q_curve": None,
        "true_value_curve": None,
        "overestimate_curve": [[-1.0, None], [-2.0, 4.0]],
        "overestimate_edge_curve": [[7.0, None], [None, None]],
    }


def test_a_metric_that_was_never_logged():
    assert last(ROWS, "no/such", SEEDS) is None
    assert last(ROWS, None, SEEDS) is None
