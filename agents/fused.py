"""The critics' two hot passes with gradients written out: the same numbers as autograd's, in fewer products.

For ReLU layers h_l = relu(h_{l-1} W_l + b_l) and Q = h_L w + b, the chain c_l = dQ/d(h_{l-1} W_l) is one pass down
through the units' on/off masks m_l: c_L = m_L w, c_{l-1} = m_{l-1} (c_l W_l^T), grad_a Q = c_1 W_1[actions]^T.
tests/agents/test_fused.py holds both functions against the plain passes (`Critics.forward`,
`Critics.value_and_action_gradient`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mbrl.core.nets import affine

Layers = Sequence[tuple[Tensor, Tensor]]
"""(weight [L, I, O], bias [L, 1, O]) of every layer, L = S * N networks."""


def value_and_action_gradient(x: Tensor, obs_dim: int, layers: Layers) -> tuple[Tensor, Tensor]:
    """Q [L, B] and grad_a Q [L, B, A] at x [L, B, O + A], both differentiable once with respect to the layers.

    x carries no gradient. At least one hidden layer, ReLU.
    """
    flat = [tensor for layer in layers for tensor in layer]
    return _ValueAndActionGradient.apply(x, obs_dim, *flat)


class _ValueAndActionGradient(torch.autograd.Function):
    """With u_0 = (0, dL/dgrad_a), u_l = m_l (u_{l-1} W_l): dL/dW_l = (dL/dQ h_{l-1} + u_{l-1})^T c_l.

    One product a layer serves the regression and the diversity term, and the regression needs no pass of its
    own down the layers, since its backward pass is dL/dQ times the chain that grad_a Q took already.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, obs_dim: int, *flat: Tensor) -> tuple[Tensor, Tensor]:
        weights, biases = flat[::2], flat[1::2]
        hidden = _hidden(x, weights, biases)
        q = affine(hidden[-1], weights[-1], biases[-1]).squeeze(-1)
        chain = [_masked(weights[-1].transpose(1, 2).expand_as(hidden[-1]), hidden[-1])]
        for weight, h in zip(reversed(weights[1:-1]), reversed(hidden[1:-1]), strict=True):
            chain.append(_masked_(torch.bmm(chain[-1], weight.transpose(1, 2)), h))
        chain.reverse()
        gradient = torch.bmm(chain[0], weights[0][:, obs_dim:].transpose(1, 2))
        ctx.obs_dim, ctx.depth = obs_dim, len(chain)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*hidden, *chain, *weights[:-1])
        return q, gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_q: Tensor | None, d_gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, depth = ctx.saved_tensors, ctx.depth
        hidden, chain, weights = saved[: depth + 1], saved[depth + 1 : 2 * depth + 1], saved[2 * depth + 1 :]
        # One of the two may be unused: without diversity there is no tangent to carry up the layers.
        d_q = chain[0].new_zeros(*chain[0].shape[:2], 1) if d_q is None else d_q.unsqueeze(-1)
        inputs, tangent = hidden[0] * d_q, None
        if d_gradient is not None:
            tangent = torch.bmm(d_gradient, weights[0][:, ctx.obs_dim :])
            inputs[..., ctx.obs_dim :] += d_gradient
        grads: list[Tensor | None] = [None, None]
        for layer in range(depth):
            grads += [torch.bmm(side.transpose(1, 2), chain[layer]) for side in (inputs, d_q)]
            if tangent is None:
                inputs = hidden[layer + 1] * d_q
            else:
                inputs = torch.addcmul(_masked_(tangent, hidden[layer + 1]), hidden[layer + 1], d_q)
                tangent = torch.bmm(tangent, weights[layer + 1]) if layer + 1 < depth else None
        return (*grads, inputs.sum(dim=1).unsqueeze(-1), d_q.sum(dim=1, keepdim=True))


def least_value(x: Tensor, num_critics: int, layers: Layers) -> Tensor:
    """min_i Q_i [S, B] at x [S, B, O + A], differentiable once with respect to x, and not to the layers.

    Only the critic that is the least at a row gives that row a gradient, so the way back is a share 1/N of the
    way there; autograd would take it with zeros for the others. Where critics tie, the first one counts. Rows are
    grouped by critic, which takes a wait for the device: meant for the CPU.
    """
    flat = [tensor.detach() for layer in layers for tensor in layer]
    return _LeastValue.apply(x, num_critics, *flat)


class _LeastValue(torch.autograd.Function):
    """Keeps the least critic's activations of every row, and walks the chain with its weights alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, num_critics: int, *flat: Tensor) -> Tensor:
        weights, biases = flat[::2], flat[1::2]
        shared = x.unsqueeze(1).expand(-1, num_critics, -1, -1).flatten(0, 1)
        hidden = _hidden(shared, weights, biases)
        q = affine(hidden[-1], weights[-1], biases[-1]).view(x.shape[0], num_critics, -1)
        value, least = q.min(dim=1)
        ctx.save_for_backward(least, *(_rows(h, least, num_critics) for h in hidden[1:]), *weights)
        ctx.num_critics = num_critics
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_value: Tensor) -> tuple[Tensor | None, ...]:
        least, *saved = ctx.saved_tensors
        depth = (len(saved) - 1) // 2
        hidden, weights = saved[:depth], saved[depth:]
        first = torch.arange(len(least), device=least.device).unsqueeze(1) * ctx.num_critics
        network = (first + least).flatten()
        order = network.argsort()
        counts = network.bincount(minlength=len(weights[0])).tolist()
        blocks = [h[order].split(counts) for h in hidden]
        d_x = hidden[0].new_empty(len(order), weights[0].shape[1])
        by_network = [_chain([b[i] for b in blocks], [w[i] for w in weights]) for i in range(len(counts))]
        d_x[order] = torch.cat(by_network)
        d_x = d_x.view(*least.shape, -1) * d_value.unsqueeze(-1)
        return (d_x, None, *[None] * (2 * depth + 2))


def _rows(h: Tensor, least: Tensor, num_critics: int) -> Tensor:
    """h [S * N, B, H] of the critic least [S, B] at each row, as [S * B, H]."""
    index = least[:, None, :, None].expand(-1, 1, -1, h.shape[-1])
    return h.unflatten(0, (-1, num_critics)).gather(1, index).flatten(0, 2)


def _chain(hidden: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """dQ/dx [n, I] of one network from its activations [n, H] a layer."""
    chain = _masked(weights[-1].t().expand_as(hidden[-1]), hidden[-1])
    for weight, h in zip(reversed(weights[1:-1]), reversed(hidden[:-1]), strict=True):
        chain = _masked_(chain @ weight.t(), h)
    return chain @ weights[0].t()


def _hidden(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """x and every hidden layer's activations."""
    hidden = [x]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden.append(affine(hidden[-1], weight, bias).relu_())
    return hidden


def _masked(x: Tensor, h: Tensor) -> Tensor:
    """x where the unit h is on, else 0: ReLU's derivative in one pass."""
    return torch.ops.aten.threshold_backward(x, h, 0)


def _masked_(x: Tensor, h: Tensor) -> Tensor:
    """`_masked` in place."""
    return torch.ops.aten.threshold_backward.grad_input(x, h, 0, grad_input=x)
