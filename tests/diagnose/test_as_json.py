"""Measurements as JSON, and of some seeds alone."""

import json
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.diagnose.as_json import as_json, take_seeds


@dataclass(frozen=True)
class Inner:
    numbers: Tensor
    reason: tuple[str, ...]
    count: int
    per_row: dict[str, list[Tensor]]


FOUND = Inner(
    torch.tensor([[1.5, float("nan")], [float("inf"), 2.0], [3.0, 4.0]]),
    ("a", "b", "c"),
    7,
    {"x": [torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])]},
)


def test_every_number_is_finite_or_null():
    found = as_json({"part": FOUND, "none": None, "flag": (True, None), "text": "t", "nan": float("nan")})
    assert found["part"] == {
        "numbers": [[1.5, None], [None, 2.0], [3.0, 4.0]],
        "reason": ["a", "b", "c"],
        "count": 7,
    }
    assert found["flag"] == [True, None]
    assert found["nan"] is None
    json.dumps(found, allow_nan=False)


def test_some_seeds_alone():
    found = take_seeds({"part": FOUND, "why": "text"}, [2, 0])
    assert found["part"].numbers[:, 0].tolist() == [3.0, 1.5]
    assert found["part"].reason == ("c", "a")
    assert found["part"].count == 7
    assert [x.tolist() for x in found["part"].per_row["x"]] == [[3, 1], [6, 4]]
    assert found["why"] == "text"
