"""Fit of a diffusion model to all segments of a dataset (Karras et al. 2022, eq. 8 and table 1)."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError, MismatchError
from mbrl.core.maths import polyak_
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.dynamics.diffusion.edm import loss_weight, training_sigma
from mbrl.dynamics.diffusion.holdout import held_out, spread_levels
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import Segments

OnLog = Callable[[Mapping[str, float]], None]
"""Called at every log line with {"step", "train_loss", "holdout_loss"}."""


@dataclass(frozen=True)
class DiffusionReport:
    """What a fit did. log: {"step", "train_loss", "holdout_loss"} a line, losses weighted as in eq. 8: 1 is what a
    model scores that knows only the data's mean and deviation. left_out: data in no segment, by reason."""

    steps: int
    train_segments: int
    holdout_segments: int
    seconds: float
    left_out: dict[str, int]
    log: list[dict[str, float]]

    def summary(self) -> str:
        """A line or two for people."""
        last = self.log[-1]
        left = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items()) or "nothing"
        return (
            f"diffusion model fitted to {self.train_segments:,} segments in {self.seconds:.0f} s, {self.steps:,} "
            f"steps: loss {last['train_loss']:.4g}, hold-out {last['holdout_loss']:.4g}\n  left out: {left}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def fit_diffusion(
    model: DiffusionModel,
    segments: Segments,
    *,
    steps: int = 10_000,
    batch_size: int = 256,
    lr: float = 1e-3,
    ema: float = 0.999,
    holdout_fraction: float = 0.05,
    log_every: int = 500,
    progress: bool = True,
    on_log: OnLog | None = None,
) -> DiffusionReport:
    """Train the denoiser with Adam, its rate falling to 0 along half a cosine; keep the moving average's weights.

    ema: decay of that average a step, shorter at first. Whole episodes are held out, by their share of all, to
    be looked at every `log_every` steps. All random numbers depend on the model's seed and device alone. Whatever
    ends the fit, the model is left with its average. Raises ConfigError, MismatchError for segments of another
    shape, and DivergenceError when the loss is no longer finite.
    """
    _check(model, segments, steps, batch_size, lr, ema, log_every)
    device, seeds = model.device, (model.seed,)
    train, holdout = held_out(segments, holdout_fraction, Streams(seeds, "diffusion.holdout"))
    model.fit_units(segments.table[segments.rows()].to(device))
    data = _standardised(model, segments)
    draws = Streams(seeds, "diffusion.batches", device)
    run = _Run(model, lr=lr, ema=ema, steps=steps)
    held = _Holdout(data, holdout.to(device), model)
    log: list[dict[str, float]] = []
    train = train.to(device)
    started = time.perf_counter()
    with progress_bar(steps, "diffusion", enabled=progress, unit="step") as bar:
        try:
            total = torch.zeros((), device=device)
            for done in range(1, steps + 1):
                x = data[train[draws.randint(len(train), batch_size)[0]]] * model.mask
                total += run.step(x, draws)
                bar.update()
                if done % log_every == 0 or done == steps:
                    count = done - (log[-1]["step"] if log else 0)
                    log.append(_line(done, float(total) / count, held.loss(run.average), lr, data))
                    total.zero_()
                    bar.set_postfix(
                        loss=f"{log[-1]['train_loss']:.3g}", holdout=f"{log[-1]['holdout_loss']:.3g}"
                    )
                    if on_log is not None:
                        on_log(log[-1])
        finally:
            # At rest: whoever samples wants gradients of the segments, never of the weights.
            model.net.requires_grad_(False).load_state_dict(run.average.net.state_dict())
    return DiffusionReport(
        steps=steps,
        train_segments=len(train),
        holdout_segments=len(holdout),
        seconds=time.perf_counter() - started,
        left_out=dict(segments.left_out),
        log=log,
    )


def denoising_loss(model: DiffusionModel, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Mean over entries and segments of lambda(sigma) |D(x + sigma n; sigma) - x|^2 (eq. 2 and 8).

    x, noise [B, T + 1, D], sigma [B]; what the mask leaves out counts for nothing.
    """
    noisy = (x + sigma[:, None, None] * noise) * model.mask
    error = ((model.denoise(noisy, sigma) - x) * model.mask).square().sum((-2, -1)) / model.mask.sum()
    return (loss_weight(sigma, model.sigma_data) * error).mean()


class _Run:
    """The optimiser, the rate's way down, and the moving average."""

    def __init__(self, model: DiffusionModel, *, lr: float, ema: float, steps: int) -> None:
        self.model, self.average = model, copy.deepcopy(model).requires_grad_(False)
        self.lr, self.ema, self.steps, self.done = lr, ema, steps, 0
        model.net.requires_grad_(True)
        self.optimiser = torch.optim.Adam(model.net.parameters(), lr=lr, fused=True)

    def step(self, x: Tensor, draws: Streams) -> Tensor:
        """One step on standardised segments x [B, T + 1, D]; returns the loss, on the device."""
        sigma = training_sigma(draws.randn(len(x))[0])
        loss = denoising_loss(self.model, x, sigma, draws.randn(*x.shape)[0])
        self.optimiser.zero_grad()
        loss.backward()
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * 0.5 * (1 + math.cos(math.pi * self.done / self.steps))
        self.optimiser.step()
        self.done += 1
        decay = min(self.ema, (1 + self.done) / (10 + self.done))
        polyak_(self.average.net.parameters(), self.model.net.parameters(), 1 - decay)
        return loss.detach()


class _Holdout:
    """The loss over segments held out, with the same noise every time."""

    def __init__(self, data: Segments, index: Tensor, model: DiffusionModel) -> None:
        streams = Streams((model.seed,), "diffusion.holdout noise", index.device)
        self.data, self.index, self.mask = data, index, model.mask
        self.sigma = spread_levels(len(index)).to(index.device)
        self.noise = streams.randn(len(index), *model.mask.shape)[0]

    @torch.no_grad()
    def loss(self, model: DiffusionModel) -> float:
        """Mean over all of them."""
        total = 0.0
        parts = (t.split(1024) for t in (self.index, self.sigma, self.noise))
        for index, sigma, noise in zip(*parts, strict=True):
            total += len(index) * float(denoising_loss(model, self.data[index] * self.mask, sigma, noise))
        return total / len(self.index)


def _standardised(model: DiffusionModel, segments: Segments) -> Segments:
    """The same segments on the model's device, in its units."""
    device = model.device
    table, last = (model.encode(t.to(device)) * model.mask[0] for t in (segments.table, segments.last))
    return Segments(segments.shape, table, last, segments.starts.to(device), segments.episode)


def _line(step: int, train: float, holdout: float, lr: float, data: Segments) -> dict[str, float]:
    """A line of the log. Raises DivergenceError where the loss is not finite."""
    if not math.isfinite(train) or not math.isfinite(holdout):
        raise DivergenceError(
            f"diffusion: the loss is {train} (hold-out {holdout}) at step {step}. The largest standardised "
            f"value in the data is {float(data.table.abs().max()):.3g}: look for outliers, or lower lr={lr}"
        )
    return {"step": step, "train_loss": train, "holdout_loss": holdout}


def _check(
    model: DiffusionModel, segments: Segments, steps: int, batch_size: int, lr: float, ema: float, every: int
) -> None:
    if min(steps, batch_size, every) < 1 or not lr > 0 or not 0 <= ema < 1:
        raise ConfigError(
            f"diffusion fit: need steps, batch_size, log_every >= 1, lr > 0 and 0 <= ema < 1, got steps={steps}, "
            f"batch_size={batch_size}, log_every={every}, lr={lr}, ema={ema}"
        )
    if segments.shape != model.shape:
        raise MismatchError(
            f"diffusion: the model is of segments {model.shape}, the data's are {segments.shape}"
        )
