"""OMAR's search against a loop over agents and rows, and on surfaces whose best action is known."""

import pytest
import torch

from mbrl.agents.multi import OMAR
from mbrl.agents.multi.rectification import by_elites, by_softmax, search
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from tests.fakes import joint_transitions

SEEDS = (2, 5)


def peak(best):
    """Values [S, N, R, B] of own actions [S, R, B, N, A]: higher, the nearer to best [N, A]."""
    return lambda own: -(own - best).square().sum(-1).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("move", "keep"), [(by_elites(4), 4), (by_softmax(2.0), 0)])
def test_the_search_is_a_loop_over_rows_and_agents(move, keep):
    g = torch.Generator().manual_seed(0)
    policies, own = 2 * torch.rand(2, 3, 2, 2, generator=g) - 1, torch.randn(2, 2, 3, generator=g)

    def surface(action):
        return 2 * (3 * action[..., 0]).sin() + action[..., 1]

    found = search(
        lambda a: surface(a).permute(0, 3, 1, 2),
        policies,
        own,
        Streams(SEEDS, "t"),
        move,
        iterations=3,
        samples=6,
        keep=keep,
        std=2.0,
    )
    streams = Streams(SEEDS, "t")
    noise = [streams.randn(6, 3, 2, 2) for _ in range(3)]
    for s in range(2):
        for b in range(3):
            for i in range(2):
                mean, std = torch.zeros(2), torch.full((2,), 2.0)
                last: list[tuple[float, torch.Tensor]] = []
                for draws in noise:
                    pool = [(mean + std * z).clamp(-1, 1) for z in draws[s, :, b, i]] + [a for _, a in last]
                    ranked = sorted(((surface(a).item(), a) for a in pool), key=lambda x: -x[0])
                    if keep:
                        last = ranked[:keep]
                        elite = torch.stack([a for _, a in last])
                        mean, std = elite.mean(0), elite.std(0)
                    else:
                        weights = torch.tensor([2.0 * v for v, _ in ranked]).exp()
                        actions = torch.stack([a for _, a in ranked])
                        mean = (weights.unsqueeze(-1) * actions).sum(0) / weights.sum()
                        std = (actions - mean).square().mean(0).sqrt()
                best = max([(own[s, i, b].item(), policies[s, b, i]), ranked[0]], key=lambda x: x[0])[1]
                assert torch.allclose(found[s, b, i], best, atol=1e-5)


@pytest.mark.parametrize(("move", "keep"), [(by_elites(5), 5), (by_softmax(20.0), 0)])
def test_the_search_finds_a_peak(move, keep):
    best = torch.tensor([[0.3, -0.7], [-0.2, 0.9]])
    policies = torch.zeros(2, 4, 2, 2)
    found = search(
        peak(best),
        policies,
        torch.full((2, 2, 4), -9.0),
        Streams(SEEDS, "t"),
        move,
        iterations=8,
        samples=30,
        keep=keep,
        std=2.0,
    )
    assert (found - best).abs().max() < 0.15


def test_a_policy_that_beats_all_draws_is_kept():
    policies = torch.rand(2, 4, 2, 2)
    found = search(
        peak(torch.zeros(2, 2)),
        policies,
        torch.full((2, 2, 4), 1.0),
        Streams(SEEDS, "t"),
        by_elites(2),
        iterations=2,
        samples=5,
        keep=2,
        std=2.0,
    )
    assert torch.equal(found, policies)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("others", ["data", "policies"])
def test_the_actors_loss_by_loops_and_its_target_is_a_constant(others):
    layout = Layout((3, 4), (1, 2))
    agent = OMAR(layout, seeds=SEEDS, hidden=(16,), critic="central", others=others, coefficient=0.7)
    with torch.no_grad():
        agent.critics.net.layers[-1].weight.mul_(300.0)
        agent.actors.net.layers[-1].weight.mul_(300.0)
    batch = joint_transitions(layout, 2, 5)
    batch = batch.map(lambda x: x.double() if x.is_floating_point() else x)
    action = agent.actors(batch.obs)
    loss, info = agent.actor_loss(batch, action, Streams(SEEDS, "t"))
    value = agent.own_value(batch, action)
    best = agent.better(batch, action, value, Streams(SEEDS, "t"))
    fixed = batch.action if others == "data" else action.detach()
    moved = 0
    for s in range(2):
        for i, size in enumerate(layout.action_dims):
            total = 0.0
            for b in range(5):

                def q(own, s=s, i=i, b=b):
                    joint = fixed.clone()
                    joint[s, b, i] = own
                    return agent.critics(batch.obs, joint.unsqueeze(1))[s, i, 0, b].item()

                mine, target = action[s, b, i].detach(), best[s, b, i]
                assert q(target) >= q(mine) - 1e-9
                moved += not torch.equal(mine, target)
                squared = (mine - target)[:size].square().sum().item() / size
                total += 0.7 * squared - 0.3 * q(mine)
            assert loss[s, i].item() == pytest.approx(total / 5)
    assert moved > 5
    assert torch.allclose(info["actor/loss"], loss.detach().mean(-1))
    assert not best.requires_grad
