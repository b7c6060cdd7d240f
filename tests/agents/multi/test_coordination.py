"""Learning where the answer is known: the one-step game r = x y, for two agents that see nothing."""

import pytest
import torch

from mbrl.agents.multi import MADDPGCQL, MASAC, MATD3BC, OMAR
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions

LAYOUT = Layout((1, 1), (1, 1))
SEEDS = (0, 1, 2)
FAST = {"seeds": SEEDS, "hidden": (16, 16), "actor_lr": 5e-3, "critic_lr": 5e-3}


def game(action):
    """Rows [B] of one-step episodes for joint actions [B, 2]."""
    rows = len(action)
    obs = torch.zeros(rows, 2, 1)
    return Transitions(
        obs=obs,
        action=action.unsqueeze(-1),
        reward=action.prod(-1),
        next_obs=obs,
        terminal=torch.ones(rows, dtype=torch.bool),
        timeout=torch.zeros(rows, dtype=torch.bool),
        step=torch.zeros(rows, dtype=torch.int64),
    )


def train(agent, data, updates, rows=32):
    streams = Streams(SEEDS, "train")
    for _ in range(updates):
        agent.update(data[streams.randint(len(data), rows)], streams)
    return agent.act(torch.zeros(len(SEEDS), 1, 2, 1)).squeeze()


def quadrant(x, y, rows=2000):
    g = torch.Generator().manual_seed(0)
    return game(torch.rand(rows, 2, generator=g) * torch.tensor([x, y]))


LEARNERS = [
    (MATD3BC, {"bc_weight": 0.0, "policy_delay": 1}),
    (MADDPGCQL, {"cql_weight": 0.01, "repeats": 1}),
    (OMAR, {"cql_weight": 0.01, "repeats": 1, "critic": "central", "samples": 8}),
    (MASAC, {"alpha": 0.05, "auto_alpha": False}),
]


@pytest.mark.parametrize(("make", "options"), LEARNERS, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize("others", ["data", "policies"])
def test_both_agents_climb_in_the_quadrant_of_the_data(make, options, others):
    """dQ/dx = y > 0 where the data lies: from x = y = 0.1 both rise, by any joint action."""
    agent = make(LAYOUT, others=others, start=[[0.1], [0.1]], **FAST, **options)
    action = train(agent, quadrant(1.0, 1.0), 120)
    assert (action > 0.5).all()


@pytest.mark.parametrize(("make", "options"), LEARNERS, ids=lambda x: getattr(x, "__name__", ""))
def test_best_response_under_data_moves_both_agents_the_wrong_way(make, options):
    """Tilbury et al. 2024 (arXiv 2407.01343): data at (+, -), policies at (-, +), in r = x y.

    By the data's y < 0 agent x goes down, and by the data's x > 0 agent y goes up: further apart, though each
    of them answers rightly to partners it does not have. Answering to each other, both turn back.
    """
    signs = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)]
    informed = game(torch.cat([quadrant(*sign).action for sign in signs]).squeeze(-1))
    start = {"start": [[-0.3], [0.3]]}
    agents = {o: make(LAYOUT, others=o, **start, **FAST, **options) for o in ("data", "policies")}
    for agent in agents.values():  # critics that know the game, before any policy moves
        streams = Streams(SEEDS, "critics")
        for _ in range(200):
            agent._update_critics(informed[streams.randint(len(informed), 64)], streams)
    data = quadrant(1.0, -1.0)
    away = train(agents["data"], data, 15)
    back = train(agents["policies"], data, 15)
    assert (away[:, 0] < -0.33).all()
    assert (away[:, 1] > 0.33).all()
    assert (back[:, 0] > -0.27).all()
    assert (back[:, 1] < 0.27).all()


def test_cloning_holds_the_policies_at_the_data():
    agent = MATD3BC(LAYOUT, bc_weight=100.0, start=[[0.1], [0.1]], **FAST)
    action = train(agent, quadrant(1.0, 1.0), 200)
    assert (action - 0.5).abs().max() < 0.1
