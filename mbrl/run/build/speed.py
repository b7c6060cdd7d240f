"""How updates run, and in which arithmetic."""

import torch
from torch import nn

from mbrl.conf.schema import Config
from mbrl.conf.schema_joint import MatD3Conf
from mbrl.core.accelerate import pick_mode
from mbrl.core.errors import ConfigError
from mbrl.core.precision import lower_products, set_product_precision


def mode_from_config(config: Config, device: torch.device) -> str:
    """A name in mbrl.core.accelerate.MODES. Where a graph cannot hold the update, `auto` means eager.

    Raises ConfigError, before any work, where a graph is asked for and cannot be had.
    """
    asked = config.train.accelerate
    mode = pick_mode(asked, device)
    reason = _beyond_a_graph(config) if mode == "graph" else None
    if reason is None:
        return mode
    if asked == "graph":
        raise ConfigError(
            f"train.accelerate=graph: {reason}, which a CUDA graph cannot hold; take auto or eager"
        )
    print(f"  note         updates run one by one: {reason}, which a CUDA graph cannot hold")
    return "eager"


def _beyond_a_graph(config: Config) -> str | None:
    if config.edge.name == "oracle" and config.edge.when == "update":
        return "edge=oracle with edge.when=update simulates at every update"
    if config.agent.name == "mobile" and config.dynamics.name != "ensemble":
        return f"agent=mobile steps dynamics={config.dynamics.name} at every update"
    if isinstance(config.agent, MatD3Conf) and config.agent.policy_delay > 1:
        delay = f"agent.policy_delay={config.agent.policy_delay}"
        return f"agent={config.agent.name} with {delay} leaves actors out of some updates"
    if config.agent.name == "custom":
        return "agent=custom may do anything at an update"
    return None


def precision_from_config(config: Config, device: torch.device, agent: object, dynamics: object) -> None:
    """Critics, their targets and a fitted model in train.precision; the process's float32 products, too."""
    set_product_precision(config.train.precision, device)
    critics = (getattr(agent, name, None) for name in ("critics", "targets", "target_critics"))
    for part in (*critics, dynamics):
        if isinstance(part, nn.Module):
            lower_products(part, config.train.precision)
