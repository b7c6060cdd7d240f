"""The gradient of the fit written out: what autograd finds for `member_loss`, in fewer passes and no core idle.

All networks, of every seed and member, stand side by side in one axis L. tests/dynamics/test_fused.py holds every
function here against the plain one.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mbrl.dynamics.ensemble import Ensemble

DERIVATIVES: dict[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]] = {
    functional.relu: lambda d, x: torch.ops.aten.threshold_backward.grad_input(d, x, 0, grad_input=d),
    functional.silu: lambda d, x: torch.ops.aten.silu_backward.grad_input(d, x, grad_input=d),
    torch.tanh: lambda d, x: d.mul_(1 - torch.tanh(x).square_()),
}
"""(d, x) -> d * activation'(x), in place in d, for every activation of mbrl.core.nets."""

WORTHWHILE = 1 << 22
"""Multiplications in one matrix product from which on it pays to share it out among cores."""


@torch.no_grad()
def member_gradient(
    ensemble: Ensemble, x: Tensor, target: Tensor, logvar_coef: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """NLL [L] and the gradient [L, ...] of `member_loss` for each of ensemble.networks(), by its name.

    x [L, B, I] standardised inputs, target [L, B, D]; gradients are in the type of ensemble.net's products.
    """
    layers, activation = ensemble.net.flat_layers(), ensemble.net.activation
    before, after = [], [x.to(layers[0][0].dtype)]
    for weight, bias in layers[:-1]:
        before.append(product(after[-1], weight, bias))
        after.append(activation(before[-1]))
    out = product(after[-1], *layers[-1]).to(target.dtype)
    bounds = ensemble.logvar_min, ensemble.logvar_max
    nll, d, (low, high) = nll_gradient(out, *(p.detach().flatten(0, 1) for p in bounds), target)
    found = {"logvar_min": low.sub_(logvar_coef), "logvar_max": high.add_(logvar_coef)}
    d = d.to(layers[0][0].dtype)
    for i in reversed(range(len(layers))):
        found[f"net.layers.{i}.weight"] = product(after[i].transpose(1, 2), d)
        found[f"net.layers.{i}.bias"] = d.sum(dim=1, keepdim=True)
        if i:
            d = DERIVATIVES[activation](product(d, layers[i][0].transpose(1, 2)), before[i - 1])
    return nll, found


def nll_gradient(
    out: Tensor, low: Tensor, high: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """`gaussian_nll` [L] of target [L, B, D], and its gradients with respect to out and to the bounds.

    out [L, B, 2 D]: means and raw log-variances v side by side, these soft-clamped by low and high [L, 1, D] to
    l = low + softplus(c - low), where c = high - softplus(high - v). With s the sigmoid:
    dl/dv = s(c - low) s(high - v), dl/dhigh = s(c - low) - dl/dv, dl/dlow = 1 - s(c - low). softplus(x) is written
    as -log s(-x), which takes half the time.
    """
    dims, share = target.shape[-1], 1 / target[0].numel()
    mean, raw = out.split(dims, dim=-1)
    capped = functional.logsigmoid(raw - high).add_(high)
    logvar = low - functional.logsigmoid(low - capped)
    error, d_out = mean - target, torch.empty_like(out)
    squared = error * logvar.neg().exp_()  # over the variance; not yet squared
    torch.mul(squared, 2 * share, out=d_out[..., :dims])
    squared.mul_(error)
    nll = (squared + logvar).mean(dim=(-2, -1))
    d_logvar = (1 - squared).mul_(share)
    inside = torch.sigmoid(capped - low).mul_(d_logvar)
    d_raw = torch.mul(torch.sigmoid(high - raw), inside, out=d_out[..., dims:])
    d_low, d_high = d_logvar.sub_(inside), inside.sub_(d_raw)
    return nll, d_out, (d_low.sum(dim=-2, keepdim=True), d_high.sum(dim=-2, keepdim=True))


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a @ b + bias, [L, M, N] for a [L, M, K], b [L, K, N], bias [L, 1, N]; on a CPU no core waits for another.

    A batched product hands each core whole matrices, so that 7 on 2 cores take as long as 8. Here the last, odd
    ones are cut into rows for all cores. Bits stay the same, since no sum is cut.
    """
    (count, rows, inner), columns, cores = a.shape, b.shape[-1], torch.get_num_threads()
    odd = count % cores
    blocks = cores // odd if odd else 1
    if a.is_cuda or count < cores or blocks < 2 or rows % blocks or rows * inner * columns < WORTHWHILE:
        return _product(a, b, bias)
    out, whole = a.new_empty(count, rows, columns), count - odd
    _product(a[:whole], b[:whole], None if bias is None else bias[:whole], out[:whole])
    last_a, last = (x[whole:].reshape(odd * blocks, rows // blocks, -1) for x in (a, out))
    _product(
        last_a, _repeated(b[whole:], blocks), None if bias is None else _repeated(bias[whole:], blocks), last
    )
    return out


def _product(a: Tensor, b: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    return torch.bmm(a, b, out=out) if bias is None else torch.baddbmm(bias, a, b, out=out)


def _repeated(x: Tensor, times: int) -> Tensor:
    """Every matrix of x [L, ., .] so many times in a row; a view where there is one matrix."""
    return x.unsqueeze(1).expand(-1, times, -1, -1).flatten(0, 1)
