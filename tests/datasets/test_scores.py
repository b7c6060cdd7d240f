import math

import numpy as np
import pytest
import torch

from mbrl.datasets import missing_reference, normalized_score, normalized_std, reference

# Copied by hand from the published tables, not from the module under test.
TABLE = {
    "halfcheetah-medium-replay-v2": (-280.178953, 12135.0),
    "hopper-medium-v0": (-20.272305, 3234.3),
    "walker2d-full-replay-v1": (1.629008, 4592.3),
    "ant-medium-expert-v2": (-325.6, 3879.7),
    "maze2d-open-v0": (0.01, 20.66),
    "maze2d-umaze-v1": (23.85, 161.86),
    "maze2d-medium-v1": (13.13, 277.39),
    "maze2d-large-v1": (6.7, 273.99),
    "maze2d-open-dense-v0": (11.17817, 27.166538620695782),
    "maze2d-umaze-dense-v1": (68.537689, 193.66285642381482),
    "maze2d-medium-dense-v1": (44.264742, 297.4552547777125),
    "maze2d-large-dense-v1": (30.569041, 303.4857382709002),
    "antmaze-large-diverse-v2": (0.0, 1.0),
    "kitchen-mixed-v0": (0.0, 4.0),
    "pen-cloned-v1": (96.262799, 3076.8331017826877),
    "hammer-human-v0": (-274.856578, 12794.134825156867),
    "door-expert-v1": (-56.512833, 2880.5693087298737),
    "relocate-human-v1": (-6.425911, 4233.877797728884),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_ends_of_the_scale(name):
    low, high = TABLE[name]
    assert reference(name) == reference(f"d4rl/{name}") == (low, high)
    assert normalized_score(f"d4rl/{name}", low) == 0
    assert normalized_score(name, high) == 100
    assert normalized_score(name, (low + high) / 2) == pytest.approx(50)
    assert missing_reference(name) == ""


def test_arrays_and_tensors_keep_their_kind():
    for kind in (np.array, torch.tensor):
        got = normalized_score("hopper-medium-v2", kind([-20.272305, 3234.3]))
        assert type(got) is type(kind([0.0]))
        np.testing.assert_allclose(got, [0, 100], atol=1e-4)
        assert bool((got != got).all()) is False
        assert bool((normalized_score("sample/x", kind([1.0])) != normalized_score("x", kind([1.0]))).all())


def test_a_spread_is_scaled_without_the_offset():
    assert normalized_std("halfcheetah-medium-v2", 200.0) == pytest.approx(1.61, abs=0.01)
    assert normalized_std("halfcheetah-medium-v2", 0.0) == 0
    assert math.isnan(normalized_std("mine", 1.0))


@pytest.mark.parametrize(
    "name",
    [
        "minari/mujoco/hopper/medium-v0",
        "minari/D4RL/pen/human-v2",
        "local/hopper-medium-v2",
        "sample/hopper",
        "",
    ],
)
def test_other_data_has_no_score_and_says_why(name):
    assert reference(name) is None
    assert math.isnan(normalized_score(name, 1000.0))
    assert "only D4RL's and NeoRL-2's own datasets" in missing_reference(name)


def test_a_mistyped_d4rl_name_is_told_the_nearest():
    assert math.isnan(normalized_score("d4rl/hopper-medum-v2", 1.0))
    assert "hopper-medium-v2" in missing_reference("d4rl/hopper-medum-v2")
    for version in ("hopper-medium-v3", "hopper-medium", "hopper-full-replay-v0", "maze2d-umaze-v0"):
        assert reference(version) is None
