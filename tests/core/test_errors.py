"""Messages that say what would be right, and errors that can be caught as what they are."""

import doctest

import pytest

from mbrl.core import errors
from mbrl.core.errors import MbrlError, unknown_name


def test_the_docstrings_example_is_true():
    assert doctest.testmod(errors) == (0, 1)


def test_nearest_names_come_first_and_a_name_far_from_all_gets_the_list():
    known = ["hopper-medium", "hopper-expert", "ant-medium"]
    assert "did you mean 'hopper-medium'" in unknown_name("dataset", "hoper-medium", known)
    assert unknown_name("agent", "zzz", known) == (
        "unknown agent 'zzz'; known: ant-medium, hopper-expert, hopper-medium"
    )


@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("DataError", ValueError),
        ("ConfigError", ValueError),
        ("MismatchError", ValueError),
        ("CheckpointError", RuntimeError),
        ("DivergenceError", ArithmeticError),
    ],
)
def test_every_error_is_ours_and_a_builtin_kind(name, also):
    assert issubclass(getattr(errors, name), MbrlError)
    assert issubclass(getattr(errors, name), also)
