"""The machine's own rates, measured by work that is hardly anything else: batched products, and copies."""

import torch

from mbrl.bench.case import Floor
from mbrl.bench.measure import clock
from mbrl.bench.modes import EXACT, at
from mbrl.bench.work import Product, product_operations
from mbrl.core.precision import PRECISIONS

COPY_BYTES = 1 << 28
"""Size of the block that is copied: well beyond any cache."""


def products(operations: float, shape: Product, device: torch.device, precision: str = EXACT) -> Floor:
    """`operations` at the rate of batched products of one shape (L, B, I, O): L times [B, I] by [I, O]."""
    stack, rows, fan_in, fan_out = shape
    dtype = PRECISIONS[precision][1] or torch.float32
    left = torch.randn(stack, rows, fan_in, device=device).to(dtype)
    right = torch.randn(stack, fan_in, fan_out, device=device).to(dtype)
    out = torch.empty(stack, rows, fan_out, dtype=dtype, device=device)
    probe = at(precision, device, clock(lambda: torch.bmm(left, right, out=out), device))
    kind = f"{precision} products {'x'.join(map(str, shape))}"
    return Floor(kind, operations, probe, product_operations(shape))


def copies(nbytes: float, device: torch.device, block: int = COPY_BYTES) -> Floor:
    """`nbytes` read or written at the rate of copying a large block, which reads and writes each byte once."""
    source = torch.ones(block // 4, device=device)
    target = torch.empty_like(source)
    return Floor("copies", nbytes, clock(lambda: target.copy_(source), device), 2 * source.nbytes)
