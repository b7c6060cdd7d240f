"""What Hydra has to know before it composes: the schemas by group, and the resolvers used in the yaml files."""

import functools
import re
from pathlib import PurePosixPath

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from mbrl.conf import schema
from mbrl.conf import schema_joint as joint

CONFIG_PATH = "pkg://mbrl.conf"
CONFIG_NAME, LAUNCH_NAME = "config", "launch"
INTERNAL = ("schema", "adjust", "study", "grid", "launcher", "hydra")
"""Groups that are not choices for one run: the schemas, the parts of the presets, studies, grids, launchers."""
OPEN = ("dataset.env_kwargs", "dynamics.kwargs", "source.kwargs", "agent.kwargs", "stack")
"""Fields that take any names below them."""

KINDS: dict[str, dict[str, type]] = {
    "dataset": {"dataset": schema.DatasetConf},
    "dynamics": {
        "ensemble": schema.EnsembleConf,
        "mujoco": schema.TrueDynamicsConf,
        "interpolated": schema.InterpolatedConf,
        "custom": schema.CustomDynamicsConf,
    },
    "penalty": {
        "none": schema.PenaltyConf,
        "mopo_aleatoric": schema.RewardPenaltyConf,
        "mopo_pairwise": schema.RewardPenaltyConf,
        "mopo_std": schema.RewardPenaltyConf,
        "morel": schema.MorelConf,
    },
    "edge": {
        "none": schema.EdgeConf,
        "constant": schema.ConstantEdgeConf,
        "drop": schema.DropEdgeConf,
        "oracle": schema.OracleEdgeConf,
    },
    "source": {
        "rollout": schema.RolloutConf,
        "rambo": schema.RamboConf,
        "pjap": joint.PjapConf,
        "coda": joint.CodaConf,
        "coda_rollout": joint.CodaRolloutConf,
        "none": schema.NoSourceConf,
        "custom": schema.CustomSourceConf,
    },
    "agent": {
        "sac": schema.SacConf,
        "mobile": schema.MobileConf,
        "combo": schema.ComboConf,
        "bc": schema.BcConf,
        "matd3_bc": joint.MatD3BcConf,
        "maddpg_cql": joint.MaddpgCqlConf,
        "omar": joint.OmarConf,
        "masac": joint.MasacConf,
        "joint_bc": joint.JointBcConf,
        "custom": schema.CustomAgentConf,
    },
    "train": {"train": schema.TrainConf},
}
"""The schemas of each part; where there are several, the part's `name` says which."""


def slug(source: str) -> str:
    """A dataset's name for a folder: the stem of a file, else the whole id with dashes.

    >>> slug("/data/hopper-medium.hdf5"), slug("d4rl/hopper-medium-v2")
    ('hopper-medium', 'd4rl-hopper-medium-v2')
    """
    path = PurePosixPath(str(source))
    name = path.stem if path.suffix in (".hdf5", ".h5", ".npz") else str(path)
    return re.sub(r"[^\w.]+", "-", name).strip("-") or "dataset"


@functools.cache
def register() -> None:
    """Make schemas and resolvers known to Hydra, once."""
    store = ConfigStore.instance()
    store.store(group="schema", name="config", node=schema.Config)
    for group, kinds in KINDS.items():
        for name, node in kinds.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    OmegaConf.register_new_resolver("slug", slug, replace=True)
