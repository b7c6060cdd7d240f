"""An exported policy acts as the run's own, and needs nothing of this project."""

import json
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from mbrl.agents.multi import MULTI_AGENTS
from mbrl.conf import compose
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.run.build import train_from_config
from mbrl.run.build.policy import export_run, record_run, seed_policy
from mbrl.run.export import export_policy
from tests.run.test_build import CHOICES

GAME = "dataset.source=game/sign_agreement/uniform/200"
SINGLE = [name for name in CHOICES["agent"] if name not in ("custom", *MULTI_AGENTS)]
SCRIPT = Path(__file__).parents[2] / "scripts/evaluate.py"
ALONE = """
import json, sys, torch
policy = torch.jit.load(sys.argv[1])
print(json.dumps(policy(torch.tensor(json.loads(sys.argv[2]))).tolist()))
assert not [name for name in sys.modules if name.split(".")[0] == "mbrl"]
"""


def trained(folder, *overrides):
    common = [f"out={folder}", "device=cpu", "preset=debug", "train.updates=2", "train.eval_episodes=1"]
    return train_from_config(compose([*common, "source=none", "train.real_ratio=1", *overrides]))


def loaded(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(path))


@pytest.mark.parametrize("name", ["sac", "bc"])
@pytest.mark.parametrize("seed", [None, 7])
def test_a_seed_of_a_run(tmp_path, name, seed):
    folder = trained(tmp_path / "run", f"agent={name}", "seeds=[4,7]")
    told = export_run(folder, tmp_path / "policy.pt", seed=seed)
    assert told["seed"] == (seed or 4)
    assert told["largest_difference"] <= 1e-5
    from mbrl.core.checkpoint import load_tree
    from mbrl.run.build.agent import agent_from_config  # the whole stack, as evaluation takes it
    from mbrl.run.build.points import run_config

    tree, meta = load_tree(folder / "checkpoint")
    data = meta["dataset"]
    stack = agent_from_config(run_config(folder), data["obs_dim"], data["action_dim"], torch.device("cpu"))
    stack.load_state_dict(tree["agent"])
    obs = torch.randn(17, data["obs_dim"])
    expected = stack.act(obs.expand(2, *obs.shape))[[4, 7].index(told["seed"])]
    policy = loaded(tmp_path / "policy.pt")
    assert (policy(obs) - expected).abs().max() <= 1e-5
    assert (policy(obs[:1]) - expected[:1]).abs().max() <= 1e-5
    assert expected.std() > 1e-4  # they depend on what is seen


def test_seeds_have_policies_of_their_own(tmp_path):
    folder = trained(tmp_path / "run", "agent=sac", "seeds=[4,7]")
    for seed in (4, 7):
        export_run(folder, tmp_path / f"{seed}.pt", seed=seed)
    obs = torch.randn(5, seed_policy(folder)[0].obs_dim)
    assert (loaded(tmp_path / "4.pt")(obs) - loaded(tmp_path / "7.pt")(obs)).abs().max() > 1e-4
    with pytest.raises(MismatchError, match=r"has seeds \[4, 7\], not 5"):
        export_run(folder, tmp_path / "policy.pt", seed=5)


def test_several_agents_and_the_command_line(tmp_path, monkeypatch, capsys):
    folder = trained(tmp_path / "run", "agent=masac", GAME, "seeds=[0,1]")
    out = tmp_path / "out/policy.pt"
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["evaluate.py", str(folder), "--seeds", "1", "--export", str(out)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    told = json.loads(capsys.readouterr().out)
    agent, _, _ = seed_policy(folder, 1)
    assert told["obs"] == ["batch", 2, agent.layout.obs_dim]
    assert told["action"] == ["batch", 2, agent.layout.action_dim]
    obs = torch.randn(6, 2, agent.layout.obs_dim)
    assert (loaded(out)(obs) - agent.act(obs[None])[0]).abs().max() <= 1e-5


def test_it_runs_without_this_project(tmp_path):
    folder = trained(tmp_path / "run", "agent=bc", "seeds=[3]")
    export_run(folder, tmp_path / "policy.pt")
    agent, meta, _ = seed_policy(folder)
    obs = torch.randn(2, meta["dataset"]["obs_dim"])
    command = [sys.executable, "-I", "-W", "ignore", "-c", ALONE, "policy.pt", json.dumps(obs.tolist())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (torch.tensor(json.loads(done.stdout)) - agent.act(obs[None])[0]).abs().max() <= 1e-5


@pytest.mark.parametrize("name", SINGLE)
def test_every_agent_of_one(tmp_path, name):
    from mbrl.agents import AGENTS

    agent = AGENTS[name](3, 2, seeds=(1,), hidden=(8,)) if name in AGENTS else AGENTS["sac"](3, 2, seeds=(1,))
    assert export_policy(agent, tmp_path / "policy.pt", (3,)) <= 1e-5


class Remembering:
    """Acts by how often it was asked."""

    def __init__(self):
        self.calls = 0

    def act(self, obs: torch.Tensor, streams: Streams | None = None) -> torch.Tensor:
        self.calls += 1
        return obs[..., :1] * 0 + self.calls


def test_a_memory_cannot_be_exported(tmp_path):
    with pytest.raises(MismatchError, match="only networks can be exported"):
        export_policy(Remembering(), tmp_path / "policy.pt", (3,))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    from mbrl.agents import AGENTS

    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        export_policy(AGENTS["bc"](3, 2, hidden=(8,)), tmp_path / "file/policy.pt", (3,))


def test_a_game_has_no_pictures(tmp_path):
    folder = trained(tmp_path / "run", "agent=masac", GAME, "seeds=[0]")
    with pytest.raises(ConfigError, match="renders no pictures"):
        record_run(folder, tmp_path / "game.gif")
