"""Options that a learner for several agents refuses, by name and before any work."""

import pytest

from mbrl.agents.multi import MULTI_AGENTS
from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout

LAYOUT = Layout((3, 4, 3), (1, 2, 1))


@pytest.mark.parametrize("name", [name for name in MULTI_AGENTS if name != "joint_bc"])
@pytest.mark.parametrize(("switch", "value"), [("critic", "centralised"), ("others", "policy")])
def test_an_unknown_switch_is_refused(name, switch, value):
    with pytest.raises(ConfigError, match=f"unknown {switch} '{value}'; did you mean"):
        MULTI_AGENTS[name](LAYOUT, **{switch: value})


BAD = [
    ("matd3_bc", {"alpha": -1.0}, "alpha=-1.0"),
    ("matd3_bc", {"bc_weight": (1.0, 2.0)}, "bc_weight: 2 values for a stack of 1"),
    ("matd3_bc", {"num_critics": 0}, "num_critics=0"),
    ("matd3_bc", {"policy_delay": 0}, "policy_delay=0"),
    ("matd3_bc", {"policy_noise": -0.1}, "policy_noise=-0.1"),
    ("maddpg_cql", {"cql_weight": -1.0}, "cql_weight=-1.0"),
    ("maddpg_cql", {"temperature": 0.0}, "temperature=0.0"),
    ("maddpg_cql", {"repeats": 0}, "repeats=0"),
    ("maddpg_cql", {"cql_width": 0.0}, "cql_width=0.0"),
    ("omar", {"coefficient": 1.5}, "coefficient=1.5"),
    ("omar", {"samples": 3, "elites": 4}, "samples=3"),
    ("omar", {"initial_std": 0.0}, "initial_std=0.0"),
    ("omar", {"sampler": "elite"}, "unknown sampler 'elite'; did you mean 'elites'"),
    ("masac", {"eta": 1.0, "num_critics": 1}, "at least 2 critics"),
    ("masac", {"eta": 1.0, "hidden": ()}, "hidden layer"),
    ("masac", {"alpha": 0.0}, "alpha=0.0"),
    ("masac", {"alpha_max": -1.0}, "alpha_max=-1.0"),
    ("masac", {"target_entropy": (1.0, 2.0)}, "target_entropy: 2 values"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_impossible_values_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        MULTI_AGENTS[name](LAYOUT, **options)
