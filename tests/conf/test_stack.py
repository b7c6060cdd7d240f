"""Grid points in one process: what a stack spells out, and what is refused before any work."""

from dataclasses import fields, replace

import pytest
import yaml

from mbrl.conf import Config, compose, load_config, save_config, validate
from mbrl.conf.schema import SacConf
from mbrl.conf.stack import STACKABLE, points, whole
from mbrl.core.errors import ConfigError

PARTS = {
    "agent.beta": ["agent=mobile"],
    "agent.cql_weight": ["agent=combo"],
    "agent.bc_weight": ["agent=matd3_bc"],
    "agent.coefficient": ["agent=omar"],
    "penalty.coefficient": ["penalty=mopo"],
    "edge.cost": ["edge=constant"],
}
"""What has an option that the defaults have not."""


def of(path, *parts):
    return compose([*PARTS.get(path, []), f"stack={{{path}: [0.25,0.5]}}", "seeds=[4,2]", *parts])


def value(config, path):
    part, _, name = path.partition(".")
    return getattr(getattr(config, part), name)


def test_nothing_is_stacked_unless_it_is_asked_for():
    config = compose([])
    assert config.stack == {}
    assert points(config) == []
    assert whole(config) is config


@pytest.mark.parametrize("path", STACKABLE)
def test_each_option_gives_a_point_a_value(path):
    config = of(path)
    found = points(config)
    leaf = path.partition(".")[2]
    assert [point.name for point in found] == [f"{leaf}=0.25", f"{leaf}=0.5"]
    for point, expected in zip(found, (0.25, 0.5), strict=True):
        assert value(point.config, path) == expected
        assert point.config.stack == {}
        assert point.config.out == f"{config.out}/{point.name}"
        single = compose(
            [*PARTS.get(path, []), f"{path}={expected}", "seeds=[4,2]", f'out="{point.config.out}"']
        )
        assert point.config == single
    assert value(whole(config), path) == [0.25, 0.25, 0.5, 0.5]
    assert whole(config).seeds == [4, 2, 4, 2]
    assert whole(config).stack == {}
    assert (config.stack, config.seeds) == ({path: [0.25, 0.5]}, [4, 2])


def test_a_point_is_the_run_that_its_value_alone_asks_for():
    point = points(of("agent.eta"))[1].config
    assert point == compose(["agent.eta=0.5", "seeds=[4,2]", f'out="{point.out}"'])


def test_several_options_make_a_product_the_last_varying_fastest():
    config = compose(["stack={agent.eta: [0,10], train.real_ratio: [0.05,0.5,0.1]}"])
    names = [point.name for point in points(config)]
    assert names[:4] == [
        "eta=0-real_ratio=0.05",
        "eta=0-real_ratio=0.5",
        "eta=0-real_ratio=0.1",
        "eta=10-real_ratio=0.05",
    ]
    assert len(names) == 6
    assert whole(config).agent.eta == [0.0] * 3 + [10.0] * 3
    assert whole(config).train.real_ratio == [0.05, 0.5, 0.1] * 2


def test_names_are_readable():
    found = points(compose(["stack={agent.eta: [1,2.0,3e-4,1e-5,12.5]}"]))
    assert [point.name for point in found] == ["eta=1", "eta=2", "eta=0.0003", "eta=1e-05", "eta=12.5"]
    assert all(isinstance(point.config.agent.eta, float) for point in found)


def test_null_is_a_value_where_the_option_may_be_null():
    found = points(compose(["stack={agent.target_entropy: [null,-3]}"]))
    assert [point.name for point in found] == ["target_entropy=null", "target_entropy=-3"]
    assert [point.config.agent.target_entropy for point in found] == [None, -3.0]


@pytest.mark.parametrize(
    "text", ["stack={agent.eta: [0,1]}", "stack.agent.eta=[0,1]", "++stack.agent.eta=[0,1]"]
)
def test_dotted_and_nested_names_mean_the_same(text):
    assert [point.name for point in points(compose([text]))] == ["eta=0", "eta=1"]


def test_it_is_written_and_read_back(tmp_path):
    config = of("agent.eta")
    save_config(tmp_path / "config.yaml", config)
    assert load_config(tmp_path / "config.yaml") == config
    point = points(config)[0].config
    save_config(tmp_path / "point.yaml", point)
    assert load_config(tmp_path / "point.yaml") == point


def test_a_file_from_before_there_were_stacks_is_read(tmp_path):
    save_config(tmp_path / "config.yaml", compose([]))
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored.pop("stack") == {}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(stored))
    assert load_config(tmp_path / "old.yaml") == compose([])


@pytest.fixture(scope="module")
def base():
    return compose([])


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (
            {"agent.etta": [0]},
            r"unknown option 'agent.etta'; did you mean 'agent.eta'.*known: agent.actor_lr, ",
        ),
        ({"eta": [0, 1]}, r"unknown option 'eta'; did you mean 'agent.eta'"),
        ({"agent": [0, 1]}, r"unknown option 'agent'"),
        ({"agnet.eta": [0, 1]}, r"unknown option 'agnet.eta'; did you mean 'agent.eta'"),
        ({"agent.gamma": [0.9]}, r"agent.gamma is the same for all members.*agent.eta, .*train.real_ratio"),
        (
            {"train.updates": [1, 2]},
            r"train.updates is the same for all members of a stack; these may differ",
        ),
        ({"agent.beta": [0, 1]}, r"agent.beta is not an option of agent=sac"),
        ({"penalty.coefficient": [0, 1]}, r"penalty.coefficient is not an option of penalty=none"),
        ({"edge.cost": [0, 1]}, r"edge.cost is not an option of edge=none"),
        ({"agent.eta": []}, r"agent.eta needs a list of values.*got \[\]"),
        ({"agent.eta": 5}, r"agent.eta needs a list of values.*got 5"),
        ({"agent.eta": ["a"]}, r"agent.eta takes numbers, got 'a'"),
        ({"agent.eta": [True]}, r"agent.eta takes numbers, got True"),
        ({"agent.eta": [None]}, r"agent.eta takes numbers, got None"),
        ({"agent.eta": [[1]]}, r"agent.eta takes numbers, got \[1\]"),
        ({"agent.eta": [1, 0, 1.0]}, r"agent.eta lists a value twice"),
        ({"agent.eta": [0, -1]}, r"agent.eta must be at least 0, got -1.0 \(at the point eta=-1 of stack\)"),
        ({"agent.eta": [float("inf")]}, r"agent.eta must be at least 0, got inf"),
        ({"agent.actor_lr": [0.1, 0]}, r"must be more than 0, got 0.0 \(at the point actor_lr=0 of stack\)"),
        ({"train.real_ratio": [0.5, 1]}, r"train.real_ratio=1 never uses .*\(at the point real_ratio=1 of"),
        ({"agent.eta": [-1, 0, -2]}, r"eta=-1 of stack.*; .*eta=-2 of stack"),
    ],
)
def test_what_cannot_be_stacked_is_refused(base, stack, message):
    with pytest.raises(ConfigError, match=message):
        validate(replace(base, stack=stack))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stack={agent.eta: [0,-1]}", r"agent.eta must be at least 0"),
        ("stack=5", r"stack: expected dict.*got 5"),
        ("stack=[1]", r"stack: expected dict.*got \[1\]"),
        ("stakc={agent.eta: [1]}", r"unknown option 'stakc'; did you mean 'stack'"),
        ("stacks={agent.eta: [1]}", r"unknown option 'stacks'; did you mean 'stack'"),
    ],
)
def test_the_command_line_refuses_it_too(text, message):
    with pytest.raises(ConfigError, match=message):
        compose([text])


@pytest.mark.parametrize("option", ["dynamics.per_seed", "dynamics.ensemble.per_seed"])
def test_points_share_their_model(option):
    model = ["dynamics=interpolated"] if "ensemble." in option else []
    with pytest.raises(
        ConfigError, match=f"{option}=true fits a model a seed, and the points of a stack share theirs"
    ):
        compose([*model, f"{option}=true", "stack={agent.eta: [0,1]}"])
    assert len(points(compose([*model, f"{option}=true", "stack={agent.eta: [1]}"]))) == 1


def test_a_penalty_that_is_no_reward_penalty_is_refused_though_it_has_a_coefficient():
    with pytest.raises(ConfigError, match="penalty.coefficient is not an option of penalty=morel"):
        compose(["penalty=morel", "stack={penalty.coefficient: [0,1]}"])


def test_the_list_names_options_that_exist():
    for path, kinds in STACKABLE.items():
        part, _, name = path.partition(".")
        assert part in {f.name for f in fields(Config)}
        assert all(name in {f.name for f in fields(kind)} for kind in kinds)
    assert all(issubclass(kind, SacConf) for kind in STACKABLE["agent.beta"])
