"""The arithmetic of matrix products, chosen by one name for a whole run."""

import torch
from torch import nn

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.nets import StackedMLP

PRECISIONS: dict[str, tuple[str, torch.dtype | None]] = {
    "float32": ("highest", None),
    "tf32": ("high", None),
    "bf16": ("highest", torch.bfloat16),
}
"""By name: torch's setting for float32 products, and the type that networks are computed in (None: their own)."""


def set_product_precision(precision: str, device: torch.device | str) -> None:
    """torch's setting for float32 products, for the whole process.

    Raises ConfigError for an unknown name, and for tf32 elsewhere than on CUDA, where it means nothing.
    """
    if precision not in PRECISIONS:
        raise ConfigError(unknown_name("train.precision", precision, PRECISIONS))
    if precision == "tf32" and torch.device(device).type != "cuda":
        raise ConfigError(
            f"train.precision=tf32 is a format of CUDA devices; this run is on {device}; take float32"
        )
    torch.set_float32_matmul_precision(PRECISIONS[precision][0])


def lower_products(module: nn.Module, precision: str) -> None:
    """Every stacked network inside `module` computes in the precision's type; weights, losses and optimisers stay.

    bf16 has 8 bits for a mantissa of float32's 24: values near 100 are told apart by 0.5.
    """
    for part in module.modules():
        if isinstance(part, StackedMLP):
            part.product_dtype = PRECISIONS[precision][1]
