"""Adam over stacked parameters whose members have step sizes of their own."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class StackedAdam(torch.optim.Adam):
    """torch's Adam on parameters [S, ...], one step size a member; each member's numbers are those of its own Adam.

    Neighbours that share a step size make a parameter group of slices, so a step is one fused pass a group.
    Moments are kept whole and the slices' are views of them: `state_dict` looks like that of an Adam over whole
    parameters (and its tensors are live), so a checkpoint does not show how step sizes were distributed.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], rates: Sequence[float], **options: Any) -> None:
        """rates: S step sizes; options: as torch.optim.Adam takes them, without lr."""
        self.stacked = list(parameters)
        self.members: list[slice] = []
        groups, start = [], 0
        for lr, run in itertools.groupby(rates):
            members = slice(start, start + len(list(run)))
            start = members.stop
            self.members.append(members)
            groups.append({"params": [p.detach()[members] for p in self.stacked], "lr": lr})
        super().__init__(groups, **options)
        self.moments = {
            name: [torch.zeros_like(p) for p in self.stacked] for name in ("exp_avg", "exp_avg_sq")
        }
        for members, group in zip(self.members, self.param_groups, strict=True):
            for i, part in enumerate(group["params"]):
                own = {name: moments[i][members] for name, moments in self.moments.items()}
                self.state[part] = {"step": torch.zeros((), dtype=torch.float32, device=part.device), **own}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step on the gradients of the whole parameters."""
        for members, group in zip(self.members, self.param_groups, strict=True):
            for part, whole in zip(group["params"], self.stacked, strict=True):
                part.grad = whole.grad[members]
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        """{"state": {i: {"step", "exp_avg", "exp_avg_sq"}}, "param_groups"} by whole parameter."""
        steps = [self.state[part]["step"] for part in self.param_groups[0]["params"]]
        state = {
            i: {"step": step, **{name: moments[i] for name, moments in self.moments.items()}}
            for i, step in enumerate(steps)
        }
        return {"state": state, "param_groups": super().state_dict()["param_groups"]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place; a parameter without an entry is one before its first step."""
        for i in range(len(self.stacked)):
            entry: Mapping[str, Tensor] = state_dict["state"].get(i, {})
            for name, moments in self.moments.items():
                moments[i].copy_(entry[name]) if entry else moments[i].zero_()
            for group in self.param_groups:
                step = self.state[group["params"][i]]["step"]
                step.copy_(entry["step"]) if entry else step.zero_()
