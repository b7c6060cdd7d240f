"""Transition models that a policy can be rolled out in."""

from collections.abc import Callable

from mbrl.core.types import Dynamics
from mbrl.dynamics.artefact import load_model, save_model
from mbrl.dynamics.cache import fit_cached
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.fit import FitReport, fit
from mbrl.dynamics.interpolated import Interpolated
from mbrl.dynamics.learned_termination import LearnedTermination, fit_termination
from mbrl.dynamics.simple_world import SimpleWorld
from mbrl.dynamics.termination import never, termination_for
from mbrl.dynamics.true_dynamics import TrueDynamics

DYNAMICS: dict[str, Callable[..., Dynamics]] = {
    "ensemble": Ensemble,
    "interpolated": Interpolated,
    "mujoco": TrueDynamics,
    "simple": SimpleWorld,
}
"""Every dynamics by the name a configuration gives it; each listed one is run through the test suite."""

__all__ = [
    "DYNAMICS",
    "Ensemble",
    "FitReport",
    "Interpolated",
    "LearnedTermination",
    "SimpleWorld",
    "TrueDynamics",
    "fit",
    "fit_cached",
    "fit_termination",
    "load_model",
    "never",
    "save_model",
    "termination_for",
]
