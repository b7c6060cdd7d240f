"""A configuration written to a run folder comes back as it was."""

from pathlib import Path

import pytest

from mbrl.conf import compose, load_config, save_config
from mbrl.conf.files import differences
from mbrl.core.errors import ConfigError

OVERRIDES = [
    [],
    ["agent=bc", "seeds=[3,1]"],
    ["agent=custom", "agent._target_=package.Agent", "agent.kwargs={a: [1, {b: null}], c: 0.1}"],
    ["source=custom", "source._target_=p.S", "dynamics=custom", "dynamics._target_=p.M"],
]


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_round_trip(overrides: list[str], tmp_path: Path) -> None:
    config, path = compose(overrides), tmp_path / "config.yaml"
    save_config(path, config)
    assert load_config(path) == config
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_the_file_is_resolved_and_readable(tmp_path: Path) -> None:
    save_config(tmp_path / "c.yaml", compose(["preset=debug"]))
    text = (tmp_path / "c.yaml").read_text()
    assert "out: runs/debug/sample-ravl" in text
    assert "label: ravl" in text
    assert "$" not in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        ("a: [1", "expected"),
        ("- 1", "no section 'dataset'"),
        ("dataset: {source: sample}", "no section 'dynamics'"),
    ],
)
def test_a_file_that_is_no_configuration(content: str | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"config.yaml.*{expected}"):
        load_config(path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: sac", "name: scas", "unknown agent.name 'scas'; did you mean 'sac'"),
        ("eta: 1.0", "eta: high", "eta"),
        ("eta: 1.0", "etaa: 1.0", "etaa"),
        ("tau: 0.005", "tau: 5.0", "agent.tau must be"),
    ],
)
def test_a_file_that_was_edited_wrongly(old: str, new: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    save_config(path, compose())
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=expected):
        load_config(path)


def test_differences_name_what_would_make_another_experiment() -> None:
    old = compose()
    new = compose(["agent.eta=0.5", "train.updates=5", "resume=true", "out=elsewhere"])
    assert differences(new, old) == ["agent.eta: 0.5, was 1.0"]
    assert differences(old, old) == []
    assert "agent.num_critics: None, was 10" in differences(compose(["agent=bc"]), old)
