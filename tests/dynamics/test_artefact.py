import hashlib
import json

import pytest
import torch

from mbrl.core.checkpoint import META, SUMS, TENSORS
from mbrl.core.errors import CheckpointError, ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import EnvSpec
from mbrl.dynamics.artefact import load_model, read_description, save_model
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.fit import fit
from mbrl.dynamics.learned_termination import LearnedTermination
from mbrl.dynamics.termination import never, termination_for
from tests.fakes import random_transitions

ENV = EnvSpec("Hopper-v5", {"healthy_z_range": (0.5, 2.0)}, {"mujoco": "3.4.0"})
SHA = "ab" * 32


def trained(**changes):
    model = Ensemble(3, 2, **({"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (0, 0)} | changes))
    report = fit(model, random_transitions(80), batch_size=32, max_epochs=1, progress=False)
    return model, report


@pytest.fixture
def folder(tmp_path):
    model, report = trained(termination=termination_for(ENV))
    path = tmp_path / "model"
    save_model(path, model, env=ENV, dataset_id="mine", dataset_sha256=SHA, report=report.as_dict())
    return path


def rolled(model):
    obs, action = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 20, 2)
    return model.step(None, obs, action, Streams((0,), "x"), members=True)


@pytest.mark.parametrize("seeds", [(0,), (3, 4)])
def test_loads_to_the_same_bits(tmp_path, seeds):
    model, _ = trained(seeds=seeds)
    save_model(tmp_path / "m", model)
    other = load_model(tmp_path / "m")
    assert other.config() == model.config()
    state, loaded = model.state_dict(), other.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(state[k], loaded[k]) for k in state)
    obs, action = torch.randn(len(seeds), 20, 3), torch.zeros(len(seeds), 20, 2)
    a, b = (m.step(None, obs, action, Streams(seeds, "x"), members=True) for m in (model, other))
    assert torch.equal(a.next_obs, b.next_obs)
    assert torch.equal(a.prediction.std, b.prediction.std)


def test_describes_itself(folder):
    meta = read_description(folder)
    assert meta["model"]["obs_dim"] == 3
    assert meta["model"]["hidden"] == [8]
    assert meta["env"] == {
        "id": "Hopper-v5",
        "kwargs": {"healthy_z_range": [0.5, 2.0]},
        "versions": {"mujoco": "3.4.0"},
    }
    assert meta["dataset"] == {"id": "mine", "sha256": SHA}
    assert meta["versions"]["torch"] == torch.__version__
    assert set(meta["versions"]) == {"python", "torch", "numpy", "mbrl"}
    assert meta["report"]["train_rows"] == 64
    assert meta["elites"] == load_model(folder).elites.tolist()
    assert sorted(p.name for p in folder.iterdir()) == sorted([TENSORS, META, SUMS])


def test_the_environments_rule_comes_back(folder):
    assert load_model(folder).termination == termination_for(ENV)


def test_a_learned_rule_comes_back_with_its_weights(tmp_path):
    model, _ = trained(termination=LearnedTermination(3, 2, hidden=(4,)))
    with torch.no_grad():
        model.termination.net.layers[0].weight.normal_()
    save_model(tmp_path / "m", model)
    a, b = rolled(model), rolled(load_model(tmp_path / "m"))
    assert 0 < a.terminal.sum() < 20
    assert torch.equal(a.terminal, b.terminal)


def test_none_comes_back_even_where_the_environment_has_a_rule(tmp_path):
    save_model(tmp_path / "m", trained()[0], env=ENV)
    assert load_model(tmp_path / "m").termination is never


def test_a_users_function_must_be_passed_again(tmp_path):
    def mine(obs, action, next_obs):
        return next_obs[..., 0] > 0

    model, _ = trained(termination=mine)
    save_model(tmp_path / "m", model, env=EnvSpec("MyRobot-v0"))
    with pytest.raises(ConfigError, match="function of your own; pass it again"):
        load_model(tmp_path / "m")
    assert torch.equal(rolled(load_model(tmp_path / "m", termination=mine)).terminal, rolled(model).terminal)


@pytest.mark.parametrize("saved", [never, LearnedTermination(3, 2)], ids=["none", "learned"])
@pytest.mark.parametrize("given", [never, LearnedTermination(3, 2, hidden=(4,))], ids=["none", "learned"])
def test_a_given_rule_replaces_the_saved_one(tmp_path, saved, given):
    save_model(tmp_path / "m", trained(termination=saved)[0])
    assert load_model(tmp_path / "m", termination=given).termination is given


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"obs_dim": 11}, "obs_dim 3, asked for 11"),
        ({"action_dim": 3}, "action_dim 2, asked for 3"),
        ({"env": EnvSpec("Walker2d-v5")}, "Hopper-v5, asked for Walker2d-v5"),
        ({"env": EnvSpec("Hopper-v5")}, "healthy_z_range"),
        ({"dataset_sha256": "cd" * 32}, "dataset mine .*abababababab.*cdcdcdcdcdcd"),
    ],
)
def test_refuses_what_it_was_not_fitted_for(folder, asked, message):
    with pytest.raises(MismatchError, match=message):
        load_model(folder, **asked)


def test_accepts_what_it_was_fitted_for(folder):
    kwargs = {
        "healthy_z_range": [0.5, 2.0],
        "render_mode": "rgb_array",
    }  # a list, and pictures, change nothing
    load_model(folder, env=EnvSpec("Hopper-v5", kwargs), obs_dim=3, action_dim=2, dataset_sha256=SHA)


def test_asks_nothing_of_a_model_that_does_not_know(tmp_path):
    save_model(tmp_path / "m", trained()[0])
    load_model(tmp_path / "m", env=ENV, dataset_sha256=SHA)


def test_missing_folder(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [TENSORS, META])
@pytest.mark.parametrize("keep", [0, 40])
def test_a_cut_file_is_named(folder, name, keep):
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="model"):
        load_model(folder)


def test_a_flipped_bit_is_noticed(folder):
    path = folder / TENSORS
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{TENSORS}: damaged"):
        load_model(folder)


def edit(folder, **changes):
    meta = json.loads((folder / META).read_text())
    meta.update(changes)
    (folder / META).write_text(json.dumps({k: v for k, v in meta.items() if v != "drop"}))
    digests = [(hashlib.sha256((folder / name).read_bytes()).hexdigest(), name) for name in (META, TENSORS)]
    (folder / SUMS).write_text("".join(f"{digest}  {name}\n" for digest, name in digests))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99, this version reads 1"),
        ({"kind": "agent"}, "not a saved dynamics ensemble"),
        ({"model": "drop"}, "lacks model"),
        ({"model": {"obs_dim": 3, "action_dim": 2}}, "do not belong together"),
        ({"termination": {"kind": "oracle"}}, "do not belong together"),
    ],
)
def test_a_foreign_description_is_refused(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_saving_again_replaces(folder):
    model, _ = trained(seeds=(5,))
    save_model(folder, model)
    assert load_model(folder).seeds == (5,)


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        save_model(tmp_path / "file" / "m", trained()[0])
