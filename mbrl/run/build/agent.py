"""The learner of a configuration: of one agent, or of several."""

from typing import Any

import torch

from mbrl.agents import AGENTS
from mbrl.agents.multi import MULTI_AGENTS
from mbrl.conf.schema import Config, CustomAgentConf, SacConf, keywords
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.joint import Layout
from mbrl.core.types import Agent, Dynamics, EdgeTreatment
from mbrl.datasets import OfflineDataset
from mbrl.run.build.edge import edge_from_config
from mbrl.run.build.pretrain import PRETRAIN
from mbrl.run.build.targets import import_target

MODEL_AWARE = frozenset({"mobile"})
"""Agents that are given the dynamics as `model`."""


def agent_from_config(
    config: Config,
    obs_dim: int,
    action_dim: int,
    device: torch.device,
    *,
    layout: Layout | None = None,
    dynamics: Dynamics | None = None,
    edge: EdgeTreatment | None = None,
) -> Agent:
    """The learner of agent.name, or of agent._target_ for one's own class.

    layout: of the several agents that the data is of. dynamics goes to agents whose targets read the model
    (MODEL_AWARE); neither it nor edge is needed to act. Raises ConfigError for an edge treatment of an agent that
    has no targets, and where the data is of several agents and the learner of one, or the other way round.
    """
    conf, common = config.agent, {"seeds": tuple(config.seeds), "device": device}
    if edge is not None:
        if not isinstance(conf, SacConf):
            raise ConfigError(
                f"edge={config.edge.name} changes critics' targets, which agent={conf.name} has not"
            )
        common["edge"] = edge
    if isinstance(conf, CustomAgentConf):
        joint = {} if layout is None else {"layout": layout}
        return import_target(conf._target_)(obs_dim, action_dim, **joint, **common, **conf.kwargs)
    check_agents(conf.name, layout)
    if layout is not None:
        return MULTI_AGENTS[conf.name](layout, **common, **keywords(conf))
    if conf.name in MODEL_AWARE:
        common["model"] = dynamics
    return AGENTS[conf.name](obs_dim, action_dim, **common, **_options(conf, action_dim))


def learner_from_config(
    config: Config, dataset: OfflineDataset, dynamics: Dynamics | None, device: torch.device
) -> Agent:
    """The learner as training makes it: of the dataset's dims, with the model and the treatment of the edge."""
    return agent_from_config(
        config,
        dataset.obs_dim,
        dataset.action_dim,
        device,
        layout=dataset.layout,
        dynamics=dynamics,
        edge=edge_from_config(config, dataset, device),
    )


def check_agents(name: str, layout: Layout | None) -> None:
    """Raise ConfigError unless the learner `name` is one for as many agents as the data is of.

    One of your own (custom) is taken to be for any.
    """
    if name == "custom":
        return
    if name not in AGENTS and name not in MULTI_AGENTS:
        raise ConfigError(unknown_name("agent.name", name, [*AGENTS, *MULTI_AGENTS]))
    if layout is None and name in MULTI_AGENTS:
        raise ConfigError(
            f"agent={name} is for several agents, and the dataset is of one; choose one of {', '.join(AGENTS)}"
        )
    if layout is not None and name in AGENTS:
        raise ConfigError(
            f"agent={name} is for one agent, and the dataset is of {layout.agents}; choose one of "
            f"{', '.join(MULTI_AGENTS)}"
        )


def _options(conf: Any, action_dim: int) -> dict[str, Any]:
    """Constructor arguments of a learner for one agent."""
    options = keywords(conf, without=PRETRAIN)
    entropies = options.get("target_entropy")
    if isinstance(entropies, tuple):  # of a stack's members, some of which may leave it to SAC
        options["target_entropy"] = tuple(-float(action_dim) if e is None else e for e in entropies)
    return options
