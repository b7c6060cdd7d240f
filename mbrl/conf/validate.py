"""What types cannot say: values that must lie in ranges (mbrl.conf.rules), and values that must fit each other."""

import math
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from mbrl.conf import schema
from mbrl.conf.rules import RULES
from mbrl.conf.schema import (
    ComboConf,
    Config,
    EnsembleConf,
    InterpolatedConf,
    MobileConf,
    RamboConf,
    RolloutConf,
    SacConf,
)
from mbrl.conf.schema_joint import CodaConf, CodaRolloutConf, DiffusionConf, MasacConf
from mbrl.conf.stack import points
from mbrl.core.errors import ConfigError, unknown_name

ACTIVATIONS = ("relu", "silu", "tanh")
"""Keys of mbrl.core.nets.ACTIVATIONS, repeated so that checking a command line does not import torch."""
MEMBERS, DIMS = ("all", "elites"), ("obs", "obs_reward")
"""Keys of the same names in mbrl.dynamics.uncertainty."""
COMBO_STATES = ("mix", "model")
"""Keys of mbrl.agents.combo.STATES, repeated for the same reason."""
ACCELERATE, PRECISION = ("auto", "eager", "compile", "graph"), ("float32", "tf32", "bf16")
"""Auto and the keys of mbrl.core.accelerate.MODES; keys of mbrl.core.precision.PRECISIONS."""
GUIDES = ("noisy", "denoised", "noise_aware", "posterior", "conjugate", "jacobian")
SCHEDULES = ("constant", "ramp", "damped", "late")
NETWORKS, ACTION_MAPS = ("mlp", "unet", "attention"), ("clip", "squash")
"""Keys of the same names in mbrl.dynamics.diffusion."""
CRITICS, OTHERS, OMAR_SAMPLERS = ("central", "independent"), ("data", "policies"), ("elites", "softmax")
"""Keys of VIEWS and OTHERS in mbrl.agents.multi.views, and of SAMPLERS in mbrl.agents.multi.omar."""
WITH_MODEL = ("rollout", "rambo", "coda_rollout", "custom")
"""The same in mbrl.run.build.source."""
CHOSEN: dict[type, dict[str, tuple[str, ...]]] = {
    schema.AgentConf: {"critic": CRITICS, "others": OTHERS, "sampler": OMAR_SAMPLERS},
    CodaConf: {"guide": GUIDES, "schedule": SCHEDULES},
    DiffusionConf: {"network": NETWORKS, "action_map": ACTION_MAPS},
}
"""Options that are names, by the kind of part that has them."""


def validate(config: Config) -> None:
    """Raise ConfigError that names every impossible value and every contradiction."""
    parts = {f.name: getattr(config, f.name) for f in fields(config)} | dict([_learned(config)])
    if isinstance(config.source, CodaConf):
        parts["source.diffusion"] = config.source.diffusion
    problems = [p for name, part in parts.items() for p in (*_ranges(name, part), *_names(name, part))]
    if not problems:
        problems = [
            *_general(config),
            *_dynamics(config),
            *_penalty(config),
            *_agent(config),
            *_mixing(config),
            *_adversary(config),
            *_stack(config),
        ]
    if problems:
        raise ConfigError("; ".join(problems))


def _ranges(part: str, conf: Any) -> Iterator[str]:
    for name, rule in RULES.get(type(conf), {}).items():
        value = getattr(conf, name)
        numbers = value if isinstance(value, list) else [value]
        finite = all(math.isfinite(x) for x in numbers if x is not None)
        if value is not None and not (finite and rule.holds(value)):
            yield f"{part}.{name} must be {rule.text}, got {value}"


def _names(part: str, conf: Any) -> Iterator[str]:
    for kind, options in CHOSEN.items():
        for name, known in options.items() if isinstance(conf, kind) else ():
            if getattr(conf, name, known[0]) not in known:
                yield unknown_name(f"{part}.{name}", getattr(conf, name), known)


def _general(config: Config) -> Iterator[str]:
    seeds = config.seeds
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        yield f"seeds must be a list of different numbers from 0 up, got {seeds}"
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config.device):
        yield f"device must be auto, cpu, cuda or cuda:N, got {config.device!r}"
    for name, known in (("accelerate", ACCELERATE), ("precision", PRECISION)):
        if getattr(config.train, name) not in known:
            yield unknown_name(f"train.{name}", getattr(config.train, name), known)
    if config.dataset.env_kwargs and config.dataset.env is None:
        yield "dataset.env_kwargs needs dataset.env, the environment they belong to"
    if config.resume and config.overwrite:
        yield "resume=true continues a run and overwrite=true replaces it: give one of them"


def _learned(config: Config) -> tuple[str, Any]:
    """The learned model's own part of the configuration, and where it lies; the dynamics if there is none."""
    conf = config.dynamics
    return ("dynamics.ensemble", conf.ensemble) if isinstance(conf, InterpolatedConf) else ("dynamics", conf)


def _dynamics(config: Config) -> Iterator[str]:
    part, conf = _learned(config)
    if isinstance(conf, EnsembleConf):
        if conf.elites > conf.members:
            yield f"{part}.elites must be at most {part}.members={conf.members}, got {conf.elites}"
        if len(conf.weight_decay) != len(conf.hidden) + 1:
            yield (
                f"{part}.weight_decay needs one entry a layer, {len(conf.hidden) + 1} for {len(conf.hidden)} "
                f"hidden layers and the output, got {len(conf.weight_decay)}"
            )
        if conf.activation not in ACTIVATIONS:
            yield unknown_name(f"{part}.activation", conf.activation, ACTIVATIONS)
        if conf.termination not in ("auto", "learned", "none") and "." not in conf.termination:
            known = ("auto", "learned", "none", "package.module.function")
            yield unknown_name(f"{part}.termination", conf.termination, known)


def _penalty(config: Config) -> Iterator[str]:
    conf = config.penalty
    for name, known in (("members", MEMBERS), ("dims", DIMS)):
        if getattr(conf, name, known[0]) not in known:
            yield unknown_name(f"penalty.{name}", getattr(conf, name), known)
    if conf.name != "none" and not isinstance(config.source, RolloutConf | CodaRolloutConf):
        yield f"penalty={conf.name} acts in rollouts, which source={config.source.name} has not"


def _agent(config: Config) -> Iterator[str]:
    conf = config.agent
    if isinstance(conf, SacConf | MasacConf) and conf.eta > 0 and conf.num_critics < 2:
        yield "agent.eta > 0 needs agent.num_critics of 2 or more: one critic has nothing to differ from"
    if isinstance(conf, ComboConf) and conf.states not in COMBO_STATES:
        yield unknown_name("agent.states", conf.states, COMBO_STATES)
    if config.train.bias_states > 0 and not isinstance(conf, SacConf):
        yield f"train.bias_states compares critics with true returns; agent={conf.name} is not known to have any"
    for part in ("dynamics", "source", "agent"):
        target = getattr(getattr(config, part), "_target_", None)
        if target is not None and not re.fullmatch(r"\w+(\.\w+)+", target):
            yield f"{part}._target_ must be package.module.Name, got {target!r}"


def _mixing(config: Config) -> Iterator[str]:
    if config.edge.name != "none" and not isinstance(config.source, RolloutConf):
        yield f"edge={config.edge.name} treats the last step of rollouts, which source={config.source.name} has not"
    if isinstance(config.edge, schema.OracleEdgeConf) and config.edge.when not in ("refresh", "update"):
        yield unknown_name("edge.when", config.edge.when, ("refresh", "update"))
    if config.edge.name == "drop" and getattr(config.source, "horizon", 2) < 2:
        yield "edge=drop leaves no rows at source.horizon=1; take a horizon of 2 or more"
    ratio, source = config.train.real_ratio, config.source.name
    if source == "none" and ratio != 1:
        yield f"train.real_ratio={ratio} asks for synthetic rows, which source=none does not make"
    if source != "none" and ratio == 1:
        yield f"train.real_ratio=1 never uses what source={source} makes; choose source=none instead"
    yield from _rows_needed(config)
    if source != "none" and config.agent.name in ("bc", "joint_bc"):
        yield f"agent={config.agent.name} would imitate itself on synthetic rows; use it with source=none"


def _adversary(config: Config) -> Iterator[str]:
    source = config.source
    if not isinstance(source, RamboConf):
        return
    if not isinstance(config.dynamics, EnsembleConf):
        yield (
            f"source=rambo trains the model, which dynamics={config.dynamics.name} does not allow; choose ensemble"
        )
    if source.model_every % source.refresh_every:
        yield (
            f"source.model_every={source.model_every} must be a multiple of source.refresh_every="
            f"{source.refresh_every}: the model changes where rollouts are drawn anew"
        )


def _stack(config: Config) -> Iterator[str]:
    """What is wrong with each point by itself, and with them side by side. Raises ConfigError as `points` does."""
    found = points(config)
    for point in found:
        try:
            validate(point.config)
        except ConfigError as error:
            yield f"{error} (at the point {point.name} of stack)"
    part, conf = _learned(config)
    if len(found) > 1 and isinstance(conf, EnsembleConf) and conf.per_seed:
        yield (
            f"{part}.per_seed=true fits a model a seed, and the points of a stack share theirs: leave it false, or "
            "run the points one by one (-m)"
        )


def _rows_needed(config: Config) -> Iterator[str]:
    """Losses over rows of one kind need some in every batch."""
    agent, train, source = config.agent, config.train, config.source.name
    if isinstance(agent, MobileConf) and source == "none":
        yield "agent=mobile penalises synthetic rows, which source=none does not make; agent=sac is the rest of it"
    elif isinstance(agent, MobileConf) and source not in WITH_MODEL:
        yield f"agent=mobile asks a model of the dynamics, and source={source} has none; choose source=rollout"
    if isinstance(agent, ComboConf) and agent.states == "model" and source == "none":
        yield "agent.states=model needs synthetic rows, which source=none does not make; choose mix"
    if isinstance(agent, ComboConf) and int(train.batch_size * train.real_ratio) < 1:
        yield (
            f"agent=combo raises values at real rows, and train.batch_size={train.batch_size} times "
            f"train.real_ratio={train.real_ratio} is less than one"
        )
