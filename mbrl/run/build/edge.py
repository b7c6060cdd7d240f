"""The treatment of the edge that a configuration asks for."""

from collections.abc import Callable

import torch

from mbrl.agents.edge import ConstantPenalty, OraclePatch, RecordedPatch
from mbrl.conf.schema import Config, ConstantEdgeConf, OracleEdgeConf
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import EdgeTreatment
from mbrl.datasets import OfflineDataset
from mbrl.dynamics.monte_carlo import MonteCarloOracle
from mbrl.run.build.model import true_dynamics


def edge_from_config(config: Config, dataset: OfflineDataset, device: torch.device) -> EdgeTreatment | None:
    """The hook of edge.name for an agent's targets; None where targets are left alone."""
    if config.edge.name not in EDGES:
        raise ConfigError(unknown_name("edge.name", config.edge.name, EDGES))
    return EDGES[config.edge.name](config, dataset, device)


def _untouched(config: Config, dataset: OfflineDataset, device: torch.device) -> None:
    """The critics' own value; `drop` acts in the source, by leaving rows out."""


def _constant(config: Config, dataset: OfflineDataset, device: torch.device) -> ConstantPenalty:
    conf: ConstantEdgeConf = config.edge
    return ConstantPenalty(conf.cost, config.source.horizon, device=device)


def oracle_from_config(
    config: Config, dataset: OfflineDataset, device: torch.device
) -> MonteCarloOracle | None:
    """The oracle that records values when rows are drawn; None where edge.name and edge.when ask for none."""
    conf = config.edge
    if not isinstance(conf, OracleEdgeConf) or conf.when != "refresh":
        return None
    return _monte_carlo(config, dataset, device)


def _monte_carlo(config: Config, dataset: OfflineDataset, device: torch.device) -> MonteCarloOracle:
    conf, truth = config.edge, true_dynamics(dataset, device)
    return MonteCarloOracle(truth, config.agent.gamma, rollouts=conf.rollouts, horizon=conf.horizon)


def _oracle(config: Config, dataset: OfflineDataset, device: torch.device) -> OraclePatch | RecordedPatch:
    horizon = config.source.horizon
    if config.edge.when == "refresh":
        return RecordedPatch(horizon)
    return OraclePatch(_monte_carlo(config, dataset, device), horizon)


EDGES: dict[str, Callable[..., EdgeTreatment | None]] = {
    "none": _untouched,
    "drop": _untouched,
    "constant": _constant,
    "oracle": _oracle,
}
