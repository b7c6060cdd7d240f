"""Learners for several agents with a shared reward, from joint data."""

from mbrl.agents.multi.joint_bc import JointBC
from mbrl.agents.multi.maddpg_cql import MADDPGCQL
from mbrl.agents.multi.masac import MASAC
from mbrl.agents.multi.matd3 import MATD3
from mbrl.agents.multi.matd3_bc import MATD3BC
from mbrl.agents.multi.omar import OMAR

MULTI_AGENTS: dict[str, type] = {
    "matd3_bc": MATD3BC,
    "maddpg_cql": MADDPGCQL,
    "omar": OMAR,
    "masac": MASAC,
    "joint_bc": JointBC,
}
"""Every learner by the name a configuration gives it."""

__all__ = ["MADDPGCQL", "MASAC", "MATD3", "MATD3BC", "MULTI_AGENTS", "OMAR", "JointBC"]
