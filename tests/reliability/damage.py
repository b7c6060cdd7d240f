"""Sound files of every kind that is read, ways to spoil them, and the rule: an error of ours, or a load."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from hypothesis import strategies as st

from mbrl.conf import compose, load_config, save_config
from mbrl.core.checkpoint import save_tree
from mbrl.core.errors import MbrlError
from mbrl.core.log import MetricsLog, rows_of
from mbrl.datasets.neorl2 import TASKS

ROWS = 12
Edit = tuple[str, float, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "delete", "blank"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=24),
    ),
    min_size=1,
    max_size=4,
)


def spoil(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after all edits; a place is a share of the length."""
    for kind, share, text in edits:
        at = int(share * max(len(data) - 1, 0))
        if kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + text + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + len(text) :]
        else:
            new = bytes(len(text)) if kind == "blank" else text
            data = data[:at] + new + data[at + len(new) :]
    return data


def outcome(load: Callable[[], object]) -> object:
    """What `load` gives, or an error of this project; any other error goes through."""
    try:
        return load()
    except MbrlError as error:
        return error


def columns(obs: int = 3, action: int = 2) -> dict[str, np.ndarray]:
    """Sound columns in D4RL's names."""
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(ROWS, obs)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(ROWS, action)).astype(np.float32),
        "rewards": rng.normal(size=ROWS).astype(np.float32),
        "terminals": np.arange(ROWS) % 4 == 3,
        "timeouts": np.arange(ROWS) == ROWS - 1,
    }


def write_npz(path: Path) -> None:
    np.savez(path, **columns(), env_id="Hopper-v9", env_kwargs="{}", versions='{"mujoco": "3"}')


def write_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for key, values in columns().items():
            file.create_dataset(key, data=values, compression="gzip")
        file["infos/qpos"], file["infos/qvel"] = np.zeros((2, ROWS, 2))
        file.attrs.update({"env_id": "Hopper-v9", "env_kwargs": "{}", "versions": '{"mujoco": "3"}'})


def write_omiga(path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["o"], file["a"] = rng.normal(size=(ROWS, 2, 3)), rng.uniform(-1, 1, size=(ROWS, 2, 2))
        file["r"], file["d"] = rng.normal(size=ROWS), (np.arange(ROWS) % 4 == 3).astype(float)


def write_neorl2(path: Path) -> None:
    task, own = TASKS["DMSD"], columns(TASKS["DMSD"].obs_dim, TASKS["DMSD"].action_dim)
    names = {"obs": "observations", "next_obs": "observations", "action": "actions", "reward": "rewards"}
    found = {key: own[name] for key, name in names.items()}
    np.savez(path, **found, done=own["terminals"], index=np.arange(0, ROWS, 4))
    assert own["actions"].shape[1] == task.action_dim


def vault_experience(recordings: int = 1) -> dict[str, np.ndarray]:
    """Arrays of a sound vault of two agents, [K, T, N, ...]."""
    rng, shape = np.random.default_rng(0), (recordings, ROWS, 2)
    ends = np.broadcast_to((np.arange(ROWS) % 4 == 3)[:, None], shape)
    return {
        "observations": rng.normal(size=(*shape, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(*shape, 1)).astype(np.float32),
        "rewards": np.broadcast_to(rng.normal(size=(ROWS, 1)), shape).astype(np.float32),
        "terminals": np.array(ends),
        "truncations": np.zeros(shape, bool),
    }


def write_vault(path: Path) -> None:
    """The vault folder <name>.vlt/<uid>, written by flashbax."""
    import flashbax
    import jax
    from flashbax.vault import Vault

    rows = [jax.tree.map(lambda x, t=t: x[0, t], vault_experience()) for t in range(ROWS)]
    buffer = flashbax.make_flat_buffer(max_length=32, min_length=2, sample_batch_size=1)
    state = buffer.init(rows[0])
    vault = Vault(path.parent.name, state.experience, rel_dir=str(path.parents[1]), vault_uid=path.name)
    for row in rows:
        state = buffer.add(state, row)
    vault.write(state)


def write_policy(path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = {"W0": (4, 3), "b0": (4,), "W1": (2, 4), "b1": (2,)}
    arrays = {name: rng.normal(size=shape) for name, shape in layers.items()}
    np.savez(
        path,
        **arrays,
        hidden="relu",
        out="tanh",
        obs_mean=np.zeros(3),
        obs_scale=np.ones(3),
        obs_clip=5.0,
        time_feature=False,
    )


def write_checkpoint(path: Path) -> None:
    save_tree(path, {"a": {"w": torch.arange(20.0)}, "n": torch.tensor(3)}, {"update": 3, "seeds": [0]})


def write_metrics(path: Path) -> None:
    rows = [
        {"update": u, "seed": s, "critic/loss": 0.5 * u, "eval/return": None} for u in (1, 2) for s in (0, 1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_summed_metrics(path: Path) -> None:
    """As the log writes them: with a checksum."""
    log = MetricsLog(path.parent / "log", (0, 1))
    for update in (1, 2):
        log.append(rows_of(update, {"critic/loss": torch.tensor([0.5, 12.25]) * update}, (0, 1)))
    log.close()
    (path.parent / "log/metrics.jsonl").rename(path)


def write_config(path: Path) -> None:
    save_config(path, compose(["agent=ravl", "preset=debug", f"out={path.parent}"]))
    load_config(path)


def write_result(path: Path) -> None:
    path.write_text(json.dumps({"status": "finished", "updates": 3, "seeds": [0], "return": {"last": [1.0]}}))
