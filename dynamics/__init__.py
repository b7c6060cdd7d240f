"""Transition models that a policy can be rolled out in."""

from collections.abc import Callable

from mbrl.core.types import Dynamics
from mbrl.dynamics.ensemble import Ensemble

DYNAMICS: dict[str, Callable[..., Dynamics]] = {"ensemble": Ensemble}
"""Every dynamics by the name a configuration gives it; each listed one is run through the test suite."""
