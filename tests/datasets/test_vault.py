"""OG-MARL's vaults: what their arrays mean, wrong paths, and one written by flashbax itself."""

import numpy as np
import pytest

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets import load
from mbrl.datasets.vault import from_experience

HOPPER = EnvSpec("mamujoco/Hopper-3x1-v1")


def experience(recordings=1, steps=8):
    """Two agents, of 2 and 3 observations; episodes end at rows 2 (terminal) and 5 (truncated)."""
    rng = np.random.default_rng(0)
    shape = (recordings, steps, 2)
    obs, flags = rng.normal(size=(*shape, 3)), np.zeros(shape, bool)
    obs[..., 0, 2] = 0
    terminals, truncations = flags.copy(), flags.copy()
    terminals[:, 2], truncations[:, 5] = True, True
    return {
        "observations": obs.astype(np.float32),
        "actions": rng.uniform(-1, 1, (*shape, 1)).astype(np.float32),
        "rewards": np.broadcast_to(np.arange(steps)[:, None], shape).astype(np.float32),
        "terminals": terminals,
        "truncations": truncations,
        "infos": {"state": np.zeros((recordings, steps, 4))},
    }


def read(found, **options):
    return from_experience(
        found, id="vault/mamujoco_v0/x", where="x.vlt/Good", lineage="mamujoco_v0", **options
    )


def test_rows_have_their_successors_in_the_next_row():
    found = experience()
    data = read(found)
    rows = data.transitions
    assert data.layout == Layout((2, 3), (1, 1))
    # Row 2 is terminal and stays; rows 5 (truncated) and 7 (the last) have no successor.
    assert rows.reward.tolist() == [0, 1, 2, 3, 4, 6]
    assert rows.terminal.tolist() == [False, False, True, False, False, False]
    assert data.successor_known.tolist() == [True, True, False, True, True, True]
    np.testing.assert_array_equal(rows.obs, found["observations"][0, [0, 1, 2, 3, 4, 6]])
    np.testing.assert_array_equal(rows.next_obs[[0, 1, 3, 4, 5]], found["observations"][0, [1, 2, 4, 5, 7]])


def test_recordings_side_by_side_do_not_run_into_each_other():
    data = read(experience(recordings=2))
    assert data.transitions.reward.tolist() == [0, 1, 2, 3, 4, 6] * 2
    assert data.stats.episodes == 6


def test_a_clock_that_is_called_terminal():
    found = experience()
    found["terminals"][0, 5] = True
    found["truncations"][:] = False
    limited = read(found, limit=3).transitions
    assert limited.reward.tolist() == [0, 1, 3, 4, 6]
    assert not limited.terminal.any()
    unlimited = read(found, limit=None).transitions
    assert unlimited.reward[unlimited.terminal].tolist() == [2, 5]


def test_rows_converted_from_omiga_end_with_an_observation():
    found = experience()
    found["truncations"][:] = False
    found["terminals"][0, 7] = True
    data = read(found, last_observations=True, limit=2)
    assert data.transitions.reward.tolist() == [0, 1, 3, 4, 5, 6]
    assert data.transitions.timeout.tolist() == [False, True, False, False, False, False]
    assert data.transitions.terminal.tolist() == [False] * 5 + [True]
    assert data.successor_known.all()
    np.testing.assert_array_equal(data.transitions.next_obs[1], found["observations"][0, 2])


def test_lineage():
    with pytest.raises(MismatchError, match="x.vlt/Good was recorded in mamujoco_v0.*mamujoco/Hopper-3x1-v1"):
        read(experience(), env=HOPPER)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rewards": None}, "the vault has no rewards; it has observations, actions"),
        ({"observations": np.zeros((8, 2, 3))}, r"shape \(8, 2, 3\); a vault's have \[1, T, N, size\]"),
        ({"actions": np.zeros((1, 8, 2, 1), np.int32)}, "discrete"),
        ({"actions": np.zeros((1, 8, 2), np.int32)}, r"actions has shape \(1, 8, 2\)"),
        ({"rewards": np.arange(16.0).reshape(1, 8, 2)}, "agents with rewards of their own"),
        ({"observations": np.full((1, 8, 2, 3), np.nan)}, "observations of agent 0, row 0, entry 0 is nan"),
        ({"observations": np.zeros((1, 0, 2, 3))}, "the vault is empty"),
        ({"actions": np.zeros((1, 8, 3, 1))}, r"actions has shape \(1, 8, 3, 1\), .* 8 steps of 2 agents"),
        ({"observations": np.zeros((1, 8, 2, 0))}, r"observations has shape \(1, 8, 2, 0\)"),
        ({"rewards": np.zeros((1, 8, 0))}, r"rewards has shape \(1, 8, 0\)"),
        ({"terminals": np.zeros((2, 8), bool)}, r"terminals has shape \(2, 8\), .* 1 recordings of 8 steps"),
        ({"truncations": np.full((1, 8, 2), np.nan)}, r"truncations row 0 is \[nan, nan\]; flags are 0 or 1"),
        ({"rewards": np.full((1, 8, 2), "a")}, "rewards is <U1, not numbers"),
        ({"rewards": [[1.0], [2.0, 3.0]]}, "rewards is no array of numbers"),
    ],
)
def test_vaults_of_something_else(changed, message):
    found = {k: v for k, v in (experience() | changed).items() if v is not None}
    with pytest.raises(DataError, match=message):
        read(found)


@pytest.fixture
def folder(tmp_path):
    """Looks like OG-MARL's folders; nothing is in the vaults."""
    for uid in ("Good", "Poor"):
        (tmp_path / "mamujoco" / "2ant.vlt" / uid).mkdir(parents=True)
        (tmp_path / "mamujoco" / "2ant.vlt" / uid / "metadata.json").write_text("{}")
    (tmp_path / "mamujoco" / "notes").mkdir()
    (tmp_path / "gymnasium_mamujoco" / "2ant.vlt" / "Replay").mkdir(parents=True)
    (tmp_path / "gymnasium_mamujoco" / "2ant.vlt" / "Replay" / "metadata.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/2ant.vlt/Good", "there is no folder .*nowhere"),
        ("mamujoco/2and.vlt/Good", "there is no folder .*2and.vlt"),
        ("mamujoco/2and.vlt", "unknown vault '2and.vlt'; did you mean '2ant.vlt'"),
        ("mamujoco/2ant.vlt/God", "unknown uid 'God'; did you mean 'Good'.*known: Good, Poor"),
        ("mamujoco/2ant.vlt", "holds the vaults Good, Poor; name one: .*2ant.vlt/Good"),
        ("mamujoco/notes", "notes is no vault: no metadata.json in it; a path ends in <name>.vlt/<uid>"),
        ("gymnasium_mamujoco/2ant.vlt/Replay", "does not say which simulator .*pass lineage= .*mamujoco_v1"),
    ],
)
def test_wrong_paths(folder, path, message):
    with pytest.raises(DataError, match=message):
        load(f"vault/{folder}/{path}", verbose=False)


def test_without_flashbax_the_command_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flashbax.vault", None)
    with pytest.raises(ConfigError, match=r"pip install 'offline-mbrl\[vault\]'"):
        load(f"vault/{folder}/mamujoco/2ant.vlt/Good", verbose=False)


@pytest.fixture
def written(tmp_path):
    """`experience` through flashbax's own buffer and writer, as OG-MARL records."""
    flashbax = pytest.importorskip("flashbax")
    jax = pytest.importorskip("jax")
    from flashbax.vault import Vault

    found = experience()
    rows = [jax.tree.map(lambda x, t=t: x[0, t], found) for t in range(8)]
    buffer = flashbax.make_flat_buffer(max_length=32, min_length=2, sample_batch_size=1)
    state = buffer.init(rows[0])
    folder = tmp_path / "gymnasium_mamujoco"
    vault = Vault("2toy.vlt", state.experience, rel_dir=str(folder), vault_uid="Good")
    for row in rows:
        state = buffer.add(state, row)
    assert vault.write(state) == 8
    return folder / "2toy.vlt" / "Good"


def test_what_flashbax_writes_is_read_back(written, capsys):
    capsys.readouterr()
    data = load(f"vault/{written}", verbose=False, lineage="mamujoco_v1")
    assert capsys.readouterr().out == ""
    expected = read(experience())
    assert data.id == "vault/mamujoco_v1/2toy-Good"
    assert data.layout == expected.layout
    for name in ("obs", "action", "reward", "next_obs", "terminal", "timeout"):
        np.testing.assert_array_equal(getattr(data.transitions, name), getattr(expected.transitions, name))


def test_a_damaged_vault(written):
    (written / "manifest.ocdbt").unlink()
    with pytest.raises(DataError, match="cannot be read by flashbax"):
        load(f"vault/{written}", verbose=False, lineage="mamujoco_v1")
    (written / "metadata.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read by flashbax"):
        load(f"vault/{written}", verbose=False, lineage="mamujoco_v1")
