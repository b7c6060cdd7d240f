"""The picture of on-policy-ness: distance to the policy and plausibility against lambda."""

from collections.abc import Sequence
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from mbrl.diagnose.on_policyness import Curve, Point
from mbrl.diagnose.picture_file import write_picture

PANELS = {
    "action_distance": ("Distance to the joint policy", "RMS of sampled − current actions"),
    "step_error": ("Error of one step", "RMS error / deviation of the data's step"),
    "reward_error": ("Error of the reward", "RMS error / deviation of the data's reward"),
}
STYLES = ("-", "--", ":", "-.")


def draw_on_policyness(curves: Sequence[Curve], file: Path | str, *, title: str = "") -> None:
    """A line of panels an environment: distance, error of the step where one is measured, error of the reward.

    A colour a policy, a line style and marker a guide; bands from the least to the most of the seeds, where there
    are several. The data's own rows: a thin line for their distance, a note for their errors. lambda = 0 stands
    left of the logarithmic axis' smallest value.
    """
    envs = list(dict.fromkeys(curve.env for curve in curves))
    names = [name for name in PANELS if any(_values(curve.points, name) for curve in curves)]
    size = 3.9 * len(names) + 2.2, 3.2 * len(envs) + 0.6
    picture, axes = plt.subplots(len(envs), len(names), figsize=size, squeeze=False, layout="constrained")
    looks = _looks(curves)
    for line, env in zip(axes, envs, strict=True):
        here = [curve for curve in curves if curve.env == env]
        for axis, name in zip(line, names, strict=True):
            for curve in here:
                _curve(axis, curve, name, **looks[curve.policy, curve.guide])
            _references(axis, here, name, {curve.policy: looks[curve.policy, curve.guide] for curve in here})
            _axes(axis, here, name, env)
    found = {label: handle for a in axes.flat for handle, label in zip(*a.get_legend_handles_labels())}  # noqa: B905
    picture.legend(found.values(), found.keys(), fontsize=8, loc="outside right center")
    picture.suptitle(title, fontsize=10)
    write_picture(picture, file, dpi=130)


def _looks(curves: Sequence[Curve]) -> dict[tuple[str, str], dict[str, Any]]:
    """Colour, line style and marker of every (policy, guide); of one policy alone, a colour a guide."""
    policies = list(dict.fromkeys(curve.policy for curve in curves))
    guides = list(dict.fromkeys(curve.guide for curve in curves))
    palette, marks = plt.get_cmap("tab10"), dict(zip(guides, cycle("osv^D"), strict=False))
    looks = {}
    for curve in curves:
        i, j = policies.index(curve.policy), guides.index(curve.guide)
        alone = len(policies) == 1
        style = "-" if alone else STYLES[j % len(STYLES)]
        looks[curve.policy, curve.guide] = {
            "color": palette((j if alone else i) % 10),
            "linestyle": style,
            "marker": marks[curve.guide],
        }
    return looks


def _values(points: Sequence[Point], name: str) -> list[float]:
    return [value for p in points if (value := getattr(p, name)) is not None]


def _curve(axis: Axes, curve: Curve, name: str, **look: Any) -> None:
    if not _values(curve.points, name):
        return
    weights = [p.weight for p in curve.points]
    label = ", ".join(part for part in (curve.policy, curve.guide) if part)
    axis.plot(weights, _values(curve.points, name), ms=4, label=label, **look)
    if all(len(p.seeds) > 1 for p in curve.points):
        seeds = [_values(p.seeds, name) for p in curve.points]
        low, high = [min(of) for of in seeds], [max(of) for of in seeds]
        axis.fill_between(weights, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _references(axis: Axes, curves: Sequence[Curve], name: str, looks: dict[str, dict[str, Any]]) -> None:
    """The data's own rows: their distance a line a policy; of their errors the largest, in words."""
    found = {curve.policy: curve.data for curve in curves if curve.data is not None}
    if name == "action_distance":
        for policy, data in found.items():
            label = f"{policy}: the data's own actions" if policy else "the data's own actions"
            colour = looks[policy]["color"]
            axis.axhline(data.action_distance, color=colour, linestyle=(0, (1, 2)), label=label)
    elif errors := _values(list(found.values()), name):
        note = f"the data's own rows: {max(errors):.0e}"
        axis.text(0.03, 0.04, note, transform=axis.transAxes, fontsize=7.5, color="0.35")
    if name == "step_error" and _values([p for c in curves for p in c.points], name):
        axis.axhline(
            1.0, color="0.5", linewidth=0.8, label="1: as wrong as foretelling\nthe data's mean step"
        )


def _axes(axis: Axes, curves: Sequence[Curve], name: str, env: str) -> None:
    what, unit = PANELS[name]
    weights = sorted({p.weight for curve in curves for p in curve.points})
    found = [value for curve in curves for value in _values(curve.points, name) if isfinite(value)]
    axis.set_visible(bool(found))
    if name != "action_distance" and found and max(found) > 20 * min(found) > 0:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    least = min((w for w in weights if w > 0), default=1.0)
    axis.set_xscale("symlog", linthresh=least)
    axis.set_xlim(-0.2 * least, 1.15 * max(least, *weights))
    axis.set_xticks(weights, [f"{w:g}" for w in weights], fontsize=8)
    axis.minorticks_off()
    axis.set_xlabel("λ (0: unguided)", fontsize=9)
    axis.set_ylabel(unit, fontsize=8)
    axis.set_title(f"{env}\n{what}" if env else what, fontsize=9)
    axis.grid(color="0.92")
