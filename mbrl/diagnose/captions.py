"""What the page says beside each picture; docs/diagnostics.md has the formulas."""

CAPTIONS: dict[str, tuple[str, str]] = {
    "history": (
        "Over the updates so far",
        "From the run's own log. Values that keep rising at the edge while the return does not are how the "
        "collapse shows first; a rise alone may also be learning.",
    ),
    "values": (
        "Values by depth",
        "Depth 0 are data states, depth t the states that t steps of the policy in the run's own rollouts "
        "lead to. Depths below k are inputs of updates, too; depth k (the edge) appears in targets alone. "
        "The effective penalty, mean − min over critics, is what an ensemble's minimum takes off there.",
    ),
    "overestimate": (
        "Promised and collected",
        "Q(s, a) against the Monte-Carlo return of the current policy under the true dynamics from the same"
        " state and action. Soft returns count the policy's entropy bonus as the critics' targets do. The "
        "last panel splits what keeps the overestimate at the data up: by how much the edge is "
        "overestimated more than the data, what k steps in the model add, and residuals at states that "
        "updates see. An overestimate at the edge reaches depth t through targets with the weight γ^(k−t).",
    ),
    "model_error": (
        "The model against the truth",
        "One step of the model and one true step from the same state and action, by rollout step; and the "
        "reward a step in rollouts from the same starts with the same action noise, in the model and in "
        "truth. If rewards agree, model exploitation is not what raises the values.",
    ),
    "correlation": (
        "The model's uncertainty and the critics' disagreement",
        "Where they rise together, a penalty on the model's uncertainty also falls on states where the "
        "critics extrapolate. With a perfect model every such penalty is zero.",
    ),
    "nearness": (
        "How far out the edge is",
        "Distance of rollout states to the nearest states that updates see, by depth, in standard "
        "deviations of the data; band: the middle 80 %; dotted: median of held-out updated states of all "
        "depths. An edge no further out than they are gives little reason to call it out of reach.",
    ),
}
"""Heading and caption of each picture, in the order of the page."""

LIMITS = (
    "Figures are of one checkpoint, and of the policy as it is now; rows in a training buffer are from "
    "earlier policies.",
    "Thresholds are stated with each question and are ours; standard errors are over rollouts, not over "
    "training runs: another seed of training may come out differently.",
    "A split of the overestimate says what is consistent with it, not what would happen without the edge. "
    "To see that, train with edge=oracle, edge=drop or another horizon and compare.",
    "Where no simulator is known, or a state cannot be reconstructed from its observation, nothing is said "
    "of the truth there; how many states that concerns is stated. A learned model's observation may be none"
    " the simulator could show (sines and cosines of an angle off the unit circle, a quaternion off length "
    "1): it is read as the nearest state. States that are left out are no random sample: where velocities "
    "are clipped, they are the fast ones.",
    "A penalty on uncertainty is part of what critics learn and no part of a true return: with one, critics "
    "may promise less than the policy collects by design.",
)
"""What every page says at its end."""
