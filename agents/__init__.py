"""Learners: one SAC spine, and one small file for each that differs."""

from mbrl.agents.bc import BC
from mbrl.agents.combo import COMBO
from mbrl.agents.mobile import MOBILE
from mbrl.agents.sac import SAC

AGENTS = {"sac": SAC, "mobile": MOBILE, "combo": COMBO, "bc": BC}

__all__ = ["AGENTS", "BC", "COMBO", "MOBILE", "SAC"]
