"""One value, or one a member; the same bits either way."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.per_member import listed, per_member


def test_one_value_or_equal_values_stay_a_float():
    assert per_member("eta", 0.5, 3) == 0.5
    assert per_member("eta", [0.5, 0.5, 0.5], 3) == 0.5
    assert listed("eta", 2, 3) == (2.0, 2.0, 2.0)


def test_different_values_are_a_tensor_of_the_stack():
    found = per_member("eta", (0.0, 0.1, 10.0), 3)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.tensor([0.0, 0.1, 10.0]))


def test_another_length_is_refused_with_its_name():
    with pytest.raises(ConfigError, match="eta: 2 values for a stack of 3; give one, or one a member"):
        per_member("eta", [0.0, 1.0], 3)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 3e-4, 5e-8])
def test_a_tensor_multiplies_to_the_bits_of_a_float(value):
    x = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    tensor = per_member("x", [value, 1.0, value, 2.0], 4)
    assert torch.equal((x * tensor.unsqueeze(1))[0], x[0] * value)
    assert torch.equal((x + tensor.unsqueeze(1))[2], x[2] + value)
