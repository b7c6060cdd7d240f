"""The device asked for, or an error that says what there is."""

import pytest
import torch

from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError


def test_auto_follows_what_is_there(monkeypatch):
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device().type == name


def test_a_named_device_is_taken():
    assert pick_device("cpu") == torch.device("cpu")


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="device 'gpu' is not one torch knows; use auto, cpu, cuda"):
        pick_device("gpu")


@pytest.mark.parametrize(("seen", "name"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch, seen, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    with pytest.raises(ConfigError, match=rf"device '{name}' asked for, but torch sees {seen} CUDA devices"):
        pick_device(name)


def test_a_cuda_device_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
