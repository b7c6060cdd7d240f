"""Learners: one SAC spine, and one small file for each that differs."""

from mbrl.agents.bc import BC
from mbrl.agents.sac import SAC

AGENTS = {"sac": SAC, "bc": BC}

__all__ = ["AGENTS", "BC", "SAC"]
