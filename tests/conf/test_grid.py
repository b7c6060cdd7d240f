"""Grids: files read and refused, points expanded by hand arithmetic, names and digests."""

import itertools
import sys
from pathlib import Path

import pytest

from mbrl.conf import compose
from mbrl.conf import grid as grid_module
from mbrl.conf.compose import Bases, composer
from mbrl.conf.files import ELSEWHERE, digest_of
from mbrl.conf.grid import plan_grid
from mbrl.conf.grid_file import as_text, grid_files, load_grid
from mbrl.core.errors import ConfigError

COMPOSING = sys.modules[Bases.__module__]  # mbrl.conf.compose names the function

HEAD = "about: a\nsource: b\n"


@pytest.fixture
def own(tmp_path: Path):
    """Writes a grid `mine` to a folder of the user's; the folder."""

    def write(text: str, name: str = "mine") -> str:
        (tmp_path / "grid").mkdir(exist_ok=True)
        (tmp_path / f"grid/{name}.yaml").write_text(text)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("name", grid_files())
def test_every_grid_is_one_of_different_checked_points_with_a_source(name: str) -> None:
    size = {"ravl": 4 * 4 * 3, "penalties": 3 * 4 + 3 * 3 + 5 + 2, "dynamics": 12 * 2 + 6 * 2 + 6, "coda": 39}
    plan = plan_grid([f"+grid={name}", "preset=debug"])
    assert len(plan.points) == size[name]
    assert plan.dropped == ()
    assert plan.folder == Path("runs") / name
    assert len({point.config.out for point in plan.points}) == size[name]
    assert all(word in load_grid(name).source for word in ("arXiv", "20"))


def test_the_first_point_is_the_published_one() -> None:
    config = plan_grid(["+grid=ravl"]).points[0].config
    assert (config.agent.num_critics, config.agent.eta, config.source.horizon) == (10, 1.0, 5)
    config = plan_grid(["+grid=penalties"]).points[0].config
    task = compose(["task=mopo/hopper-medium-v2"])
    assert (config.penalty, config.source.horizon) == (task.penalty, task.source.horizon)


def test_a_grid_is_the_union_of_its_blocks(own) -> None:
    folder = own(
        HEAD
        + "overrides: [train.updates=7, agent=ravl]\n"
        + "blocks:\n- {agent.eta: [0, 1e-1], seeds: [[0], [1, 2]]}\n- {agent: [bc], source: [none]}\n"
    )
    plan = plan_grid(["+grid=mine", "train.batch_size=8"], folder)
    seen = [(p.config.agent.name, getattr(p.config.agent, "eta", None), p.config.seeds) for p in plan.points]
    assert seen == [
        ("sac", 0.0, [0]),
        ("sac", 0.0, [1, 2]),
        ("sac", 0.1, [0]),
        ("sac", 0.1, [1, 2]),
        ("bc", None, [0]),
    ]
    assert {(p.config.train.updates, p.config.train.batch_size) for p in plan.points} == {(7, 8)}
    assert [p.name[:-9] for p in plan.points] == [
        "eta=0-seeds=0",
        "eta=0-seeds=1-2",
        "eta=0.1-seeds=0",
        "eta=0.1-seeds=1-2",
        "agent=bc-source=none",
    ]
    assert all(p.config.out == f"runs/mine/{p.name}" for p in plan.points)


def test_the_command_line_wins(own) -> None:
    folder = own(
        HEAD
        + "overrides: [agent=sac, dataset=sample, source.horizon=2]\n"
        + "blocks:\n- {agent.eta: [0, 1], agent.tau: [0.1, 0.2]}\n- {agent.gamma: [0.5]}\n"
    )
    # A key of a block, a key of the overrides and a part of them, and one more axis.
    argv = ["+grid=mine", "agent.tau=0.3", "agent=ravl", "source.horizon=3", "seeds=[0],[1]", "out=there"]
    plan = plan_grid(argv, folder)
    assert [p.name[:-9] for p in plan.points] == [
        "eta=0-tau=0.3-seeds=0",
        "eta=0-tau=0.3-seeds=1",
        "eta=1-tau=0.3-seeds=0",
        "eta=1-tau=0.3-seeds=1",
        "gamma=0.5-seeds=0",
        "gamma=0.5-seeds=1",
    ]
    configs = [p.config for p in plan.points]
    assert {(c.agent.label, c.source.horizon) for c in configs} == {("ravl", 3)}
    assert [c.agent.tau for c in configs] == [0.3] * 4 + [0.005] * 2, "tau is what the first block varies"
    assert plan.folder == Path("there")


def test_an_option_that_some_blocks_vary_is_theirs_alone() -> None:
    plan = plan_grid(["+grid=penalties", "agent.beta=7,8", "penalty.coefficient=1", "dataset=sample"])
    names = [p.name[:-9] for p in plan.points]
    assert names == [
        "agent=mopo-penalty=mopo_aleatoric-coefficient=1",
        "agent=mopo-penalty=mopo_pairwise-coefficient=1",
        "agent=mopo-penalty=mopo_std-coefficient=1",
        *(f"agent=morel-coefficient=1-offset={offset}" for offset in (-200, -100, -30)),
        *("agent=mobile-beta=7", "agent=mobile-beta=8", "agent=sac", "agent=ravl"),
    ]
    assert {p.config.dataset.source for p in plan.points} == {"sample"}


def test_lists_without_a_grid_are_a_product() -> None:
    plan = plan_grid(["agent.eta=0,1", "agent.tau=range(0.1,0.35,0.1)", "out=x"])
    seen = [(p.config.agent.eta, round(p.config.agent.tau, 6)) for p in plan.points]
    assert seen == list(itertools.product([0.0, 1.0], [0.1, 0.2, 0.3]))
    assert plan_grid(["agent=bc"]).points[0].config.out.startswith("runs/sweep/")


def test_what_hydras_grammar_can_list_is_expanded() -> None:
    agents = [p.config.agent.label for p in plan_grid(["agent=glob(mopo*)"]).points]
    assert agents == ["mopo", "mopo_original"]
    assert len(plan_grid(["agent.eta=choice(0,1,2)"]).points) == 3
    with pytest.raises(ConfigError, match="only sweeper plugins read this"):
        plan_grid(["agent.eta=interval(0,1)"])


def test_a_point_that_is_there_twice_is_run_once() -> None:
    plan = plan_grid(["agent.eta=0,0.0,1", "device=auto,cpu"])
    assert [p.name[:-9] for p in plan.points] == ["eta=0-device=auto", "eta=1-device=auto"]
    assert len(plan.dropped) == 4
    assert plan.dropped[0] == f"eta=0-device=cpu-{plan.points[0].name[-8:]} is {plan.points[0].name}"


def test_the_digest_is_that_of_the_experiment() -> None:
    base = digest_of(compose(["agent=bc"]))
    same = ["out=elsewhere", "device=cpu", "resume=true", "overwrite=true", "train.progress=false"]
    assert {digest_of(compose(["agent=bc", o])) for o in [*same, "dynamics.cache=elsewhere"]} == {base}
    moved = {
        "dynamics=interpolated": "dynamics.ensemble.cache=elsewhere",
        "dynamics=mujoco": "dynamics.threads=2",
        "source=coda": "source.diffusion.cache=elsewhere",
    }
    for part, change in moved.items():
        assert digest_of(compose(["agent=sac", part, change])) == digest_of(compose(["agent=sac", part])), (
            part
        )
    told = {o.partition("=")[0] for o in [*same, "dynamics.cache=elsewhere", *moved.values()]}
    assert told == set(ELSEWHERE)
    other = ["agent.lr=0.1", "seeds=[1]", "train.updates=5", "dataset.env=Ant-v5", "agent.label=other"]
    assert len({base, *(digest_of(compose(["agent=bc", o])) for o in other)}) == 6
    assert len(base) == 8


def test_options_that_end_alike_are_called_by_their_whole_names() -> None:
    argv = ["agent.hidden=[8],[9]", "dynamics.hidden=[8,8,8,8],[9,9,9,9]", "agent.tau=0.1,0.2"]
    assert plan_grid(argv).points[0].name[:-9] == "agent.hidden=8-dynamics.hidden=8-8-8-8-tau=0.1"


def test_names_stay_short_and_lie_in_the_grids_folder() -> None:
    long = "a/../" * 80
    (point,) = plan_grid([f"agent.label='{long}',"[:-1], "dataset.source=choice(sample)", "out=x"]).points
    assert Path(point.config.out).parent == Path("x")
    for source in ("../../up", long):
        (point,) = plan_grid([f"dataset.source=choice('{source}')", "out=x"]).points
        assert len(point.name) <= 129
        assert Path(point.config.out).parent == Path("x")
        assert "/" not in point.name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about: [", "mine.yaml: .*expected"),
        ("- 1", "this is a list"),
        ("just words", "mine.yaml: "),
        (HEAD, "blocks must be a list of blocks, each .*, got None"),
        (HEAD + "blocks: []", "blocks must be a list"),
        (HEAD + "blocks: {agent: [bc]}", "blocks must be a list"),
        (HEAD + "blocks: [agent]", r"blocks\[0\] must be .*got 'agent'"),
        (HEAD + "blocks:\n- agent: [bc]\n- {}", r"blocks\[1\] must be"),
        (HEAD + "blocks: [{agent: bc}]", r"blocks\[0\]: agent needs a list of values, .* got 'bc'"),
        (HEAD + "blocks: [{agent.eta: []}]", r"blocks\[0\]: agent.eta needs a list of values"),
        (HEAD + "blocks: [{1: [2]}]", "1 is not the name of an option"),
        (HEAD + "blocks: [{agent: [bc], agent: [sac]}]", "duplicate key"),
        (HEAD + "overrides: agent=bc\nblocks: [{seeds: [[0]]}]", "overrides must be a list of KEY=VALUE"),
        (HEAD + "overrides: [1]\nblocks: [{seeds: [[0]]}]", "overrides must be a list of KEY=VALUE"),
        (
            HEAD + "override: [a=1]\nblocks: [{seeds: [[0]]}]",
            "unknown key 'override'; did you mean 'overrides'",
        ),
        ("source: b\nblocks: [{seeds: [[0]]}]", "about must be a line of text, got None"),
        (HEAD + "overrides: ['agent=bc,sac']\nblocks: [{seeds: [[0]]}]", "agent=bc,sac: one value is meant"),
        (HEAD + "blocks: [{agent: ['bc,sac']}]", "agent=bc,sac: one value is meant"),
        (HEAD + "blocks: [{hydra/launcher: [ray]}]", "grid mine: hydra/launcher=ray: this belongs on"),
        (HEAD + "blocks: [{out: [a]}]", "grid mine: out=a: this belongs on the command line"),
        (
            HEAD + "overrides: [overwrite=true]\nblocks: [{seeds: [[0]]}]",
            "grid mine: .*a grid never replaces a run",
        ),
        (
            HEAD + "blocks: [{agnet.eta: [1]}]",
            "unknown option 'agnet.eta'.*'agent.eta'.*in the point eta=1., of grid mine",
        ),
        (
            HEAD + "blocks: [{agent.eta: [x]}]",
            "agent.eta: expected float, got 'x' .in the point eta=x., of grid mine",
        ),
        (HEAD + "overrides: ['a b']\nblocks: [{seeds: [[0]]}]", "grid mine: cannot read 'a b'"),
        (HEAD + "blocks: [{agent: ['a}']}]", "grid mine: cannot read 'agent=a}'"),
        ("\x00", "mine.yaml: "),
        ("[" * 2000, "mine.yaml: "),
    ],
)
def test_a_file_that_is_no_grid_is_refused_by_name(text: str, expected: str, own) -> None:
    folder = own(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        plan_grid(["+grid=mine"], folder)
    assert "mine" in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["+grid=rval"], "unknown grid 'rval'; did you mean 'ravl'"),
        (["+grid=../ravl"], "unknown grid '../ravl'"),
        (["+grid=ravl,coda"], "one grid at a time"),
        (["agent=bc", "out=a,b"], "one out at a time"),
        (["agent=bc", "out="], "one out at a time"),
        (["agent=bc", "out='runs/${agent.label}'"], "the points share this"),
        (["overwrite=true"], "a grid never replaces a run"),
        (["resume=true"], "a grid resumes by itself"),
        (["hydra/sweeper=ax"], "a grid lists its points itself"),
        (["hydra.sweeper.params.a=1"], "a grid lists its points itself"),
        (["hydra.mode=RUN"], "a grid is run with -m"),
        (["seeds=range(0,100000)"], "more than 10000 points"),
        (["agent.eta=range(0,200)", "agent.tau=range(0,200)"], "more than 10000 points"),
        (["agent"], "cannot read 'agent'"),
    ],
)
def test_command_lines_that_mean_no_grid(argv: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        plan_grid(argv)


def test_too_many_points_are_refused_before_one_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_module, "_point", lambda *_: pytest.fail("composed"))
    with pytest.raises(ConfigError, match="more than"):
        plan_grid(["agent.eta=range(0,101)", "agent.tau=range(0,101)"])


def test_a_grid_of_the_users_takes_the_place_of_ours(own) -> None:
    folder = own(HEAD + "blocks: [{agent: [bc], source: [none]}]", name="ravl")
    assert len(plan_grid(["+grid=ravl"], folder).points) == 1
    assert len(plan_grid(["+grid=coda", "preset=debug"], folder).points) == 39


def test_values_are_as_the_command_line_reads_them() -> None:
    value = [None, True, 0.5, 1, "text", [1, [2]], {"a": None}]
    assert as_text(value) == "[null,true,0.5,1,text,[1,[2]],{a: null}]"


@pytest.mark.parametrize(
    "lines",
    [
        [["agent=bc"], ["agent=bc", "agent.lr=0.1"], ["agent=bc"]],
        [["agent.eta=2", "agent=ravl"], ["agent=ravl"], ["agent={eta: 3}", "agent.eta=4"], ["agent=ravl"]],
        [["stack={agent.eta: [0,1]}"], ["++stack.agent.eta=[2,3]"], []],
        [["preset=debug"], ["preset=debug", "agent.hidden=[4]"], ["task=mopo/hopper-medium-v2"]],
        [["dataset.env=A-v1", "dataset.env_kwargs={a: 1}"], ["dataset.env=A-v1"]],
    ],
)
def test_composing_many_is_composing_each(lines: list[list[str]], monkeypatch) -> None:
    alone = []
    for line in lines:
        monkeypatch.setattr(COMPOSING, "OWN", Bases())  # as a process of its own
        alone.append(compose(line))
    monkeypatch.setattr(COMPOSING, "OWN", Bases())
    with composer() as many:
        assert [many(line) for line in lines] == alone
    assert [compose(line) for line in lines] == alone


def test_what_was_composed_before_is_not_what_it_was_changed_to(monkeypatch) -> None:
    monkeypatch.setattr(COMPOSING, "OWN", Bases())
    first = compose(["agent=ravl"])
    first.agent.hidden.append(7)
    first.seeds = [99]
    second = compose(["agent=ravl"])
    assert second.agent.hidden == [256, 256, 256]
    assert second.seeds != [99]


def test_files_of_the_users_own_are_read_each_time(tmp_path) -> None:
    own = tmp_path / "agent" / "mine.yaml"
    own.parent.mkdir()
    for eta in (2.0, 5.0):
        own.write_text(f"defaults: [ravl, _self_]\neta: {eta}\n")
        assert compose(["agent=mine"], config_dir=str(tmp_path)).agent.eta == eta
        with_path = ["agent=mine", f"hydra.searchpath=[file://{tmp_path}]"]
        assert compose(with_path).agent.eta == eta
