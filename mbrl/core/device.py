"""Which device to compute on."""

import torch

from mbrl.core.errors import ConfigError


def pick_device(name: str = "auto") -> torch.device:
    """CUDA when there is one and name is "auto", else what is asked for.

    Raises ConfigError for an unknown name, or for a CUDA device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        message = f"device {name!r} is not one torch knows; use auto, cpu, cuda or cuda:N"
        raise ConfigError(message) from error
    seen = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= seen:
        raise ConfigError(f"device {name!r} asked for, but torch sees {seen} CUDA devices; use device=cpu")
    return device
