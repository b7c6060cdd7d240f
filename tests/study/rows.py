"""Rows as studies write them, made up."""

import numpy as np

SEEDS = [0, 1, 2]


def cell(settings, level=1.0, *, status="finished", seeds=SEEDS, shift=0):
    """A row whose figures grow with `level`; every seed has its own."""
    rng = np.random.default_rng([int(1000 * abs(level)), shift])

    def noisy(scale):
        return (scale * level * (1 + 0.2 * rng.standard_normal(len(seeds)))).tolist()

    def course(scale):
        noise = 0.1 * scale * rng.standard_normal((len(seeds), 11))
        return (scale * level * np.linspace(0, 1, 11) ** 2 + noise).tolist()

    return {
        **settings,
        "seeds": list(seeds),
        "dataset": "d4rl/hopper-medium-v2",
        "behaviour_return": 1200.0,
        "status": status,
        "return_last": noisy(900),
        "return_mean_last_10": noisy(900),
        "q_last": noisy(300),
        "overestimate_last": noisy(500),
        "overestimate_edge_last": noisy(5000),
        "action_distance": noisy(0.3),
        "penalty_reach": noisy(3),
        "penalty_edge": noisy(9),
        "at_update": list(range(0, 11000, 1000)),
        "return_curve": course(900),
        "q_curve": course(300),
        "true_value_curve": course(100),
        "overestimate_curve": course(200),
        "overestimate_edge_curve": course(4000),
        "measures": ["max_aleatoric", "ensemble_std"],
        **{
            f"{c}_{m}": noisy(0.1) for c in ("pearson", "spearman") for m in ("max_aleatoric", "ensemble_std")
        },
        **{name: course(1) for name in ("reward_true", "reward_model", "paired_error", "reward_error")},
        **{name: course(90) for name in ("overestimate", "true_value")},
    }
