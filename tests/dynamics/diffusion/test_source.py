"""CODA as a source: rows, seeds, what is kept, what is void, and one agent as a special case of several."""

import pytest
import torch

from mbrl.core.errors import CheckpointError, ConfigError, MismatchError
from mbrl.core.joint import Layout, with_agent_axis
from mbrl.core.seeds import Streams
from mbrl.core.types import Reporting, Stateful
from mbrl.diagnose.gaussian_samples import GaussianPolicy
from mbrl.dynamics.diffusion.edm import sigma_schedule
from mbrl.dynamics.diffusion.guidance import GUIDES
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import segments
from mbrl.dynamics.diffusion.source import Coda
from tests.dynamics.diffusion.worlds import Still, walks

TRIO = Layout((3, 2, 1), (1, 2, 1))


def model_for(data, horizon=3, **options):
    """A model in the data's units with random weights."""
    found = segments(data, horizon)
    model = DiffusionModel(found.shape, **({"width": 16, "depth": 1} | options))
    model.fit_units(found.table)
    g = torch.Generator().manual_seed(3)
    for p in model.net.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=g)
    return model


def joint(seeds=1):
    mean = 0.5 * torch.randn(seeds, 3, 2, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    return GaussianPolicy(mean * TRIO.action_mask(), 0.3)


@pytest.mark.parametrize("guide", ["noisy", "posterior", "conjugate"])
def test_rows_of_several_agents(guide):
    coda = Coda(model_for(walks((9, 8), TRIO)), guide=guide, schedule="damped", steps=4)
    rows, alive = coda.draw(joint(2), 5, Streams((0, 1), "t"))
    assert rows.obs.shape == (2, 15, 3, 3)
    assert rows.action.shape == (2, 15, 3, 2)
    assert rows.step[0].tolist() == [1] * 5 + [2] * 5 + [3] * 5
    assert torch.equal(rows.next_obs[:, :10], rows.obs[:, 5:])
    assert not (rows.obs * ~TRIO.obs_mask()).any()
    assert not (rows.action * ~TRIO.action_mask()).any()
    assert float(rows.action.abs().max()) <= 1
    assert alive.shape == (2, 15)
    assert coda.horizon == 3


def test_a_seed_is_the_same_in_any_stack():
    coda = Coda(model_for(walks((9, 8), TRIO)).double(), steps=4, churn=2.0)
    policy = joint(2)
    policy.mean = policy.mean.double()
    both = coda.segments(policy, 6, Streams((4, 7), "t"))
    policy.mean = policy.mean[1:]
    assert torch.allclose(coda.segments(policy, 6, Streams((7,), "t"))[0], both[1])


def test_a_seed_follows_its_own_policy():
    coda = Coda(model_for(walks((9, 8), TRIO)), steps=8, weight=5.0)
    policy = joint(2)
    rows, _ = coda.draw(policy, 50, Streams((0, 1), "t"))
    away = Coda(coda.model, steps=8, weight=0.0).draw(policy, 50, Streams((0, 1), "t"))[0]
    want = policy.mean.unsqueeze(1)
    assert (
        (rows.action - want).square().mean((1, 2, 3)) < (away.action - want).square().mean((1, 2, 3))
    ).all()


def test_one_agent_with_and_without_an_axis_is_the_same_bits():
    flat, layout = walks((9, 8)), Layout((3,), (2,))
    axis = walks((9, 8), layout)
    mean = torch.tensor([[0.3, -0.2]])
    one = Coda(model_for(flat), steps=5).draw(GaussianPolicy(mean, 0.2), 6, Streams((0,), "t"))
    two = Coda(model_for(axis), steps=5).draw(GaussianPolicy(mean.unsqueeze(1), 0.2), 6, Streams((0,), "t"))
    assert one[0].obs.shape == (1, 18, 3)
    lifted = with_agent_axis(one[0])
    for name in ("obs", "action", "reward", "next_obs", "terminal"):
        assert torch.equal(getattr(lifted, name), getattr(two[0], name)), name
    assert torch.equal(one[1], two[1])


def plain_policy_guided_diffusion(model, policy, n, weight, steps, guide):
    """One agent, no axes of agents or seeds, no classes: Heun, led (Jackson et al. 2024)."""
    shape, (obs_dim, action_dim) = model.shape, (model.shape.layout.obs_dim, model.shape.layout.action_dim)
    acts = slice(obs_dim, obs_dim + action_dim)
    mean, std = model.mean, model.std

    def led(x, sigma):
        d = model.denoise(x, sigma)
        obs = (mean[:obs_dim] + std[:obs_dim] * d[:, :-1, :obs_dim]).reshape(1, -1, obs_dim)
        mu = (policy.act(obs).reshape(n, -1, action_dim) - mean[acts]) / std[acts]
        s = policy.std / std[acts]
        if guide == "posterior":
            v = sigma**2 / (1 + sigma**2)
            move = v * (mu - d[:, :-1, acts]) / (s**2 / weight + v)
        else:
            a = (mean[acts] + std[acts] * d[:, :-1, acts]).clamp(-1, 1)
            move = sigma**2 * weight * (policy.act(obs).reshape(a.shape) - a) / policy.std**2 * std[acts]
        d = d.clone()
        d[:, :-1, acts] += move
        return d

    sigmas = sigma_schedule(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0)
    noise = Streams((0,), "t").randn(n, shape.tokens, shape.width, dtype=torch.float64)[0]
    x = 80.0 * noise * model.mask
    for i in range(steps):
        slope = (x - led(x, sigmas[i])) / sigmas[i]
        ahead = x + (sigmas[i + 1] - sigmas[i]) * slope
        if sigmas[i + 1] > 0:
            slope = 0.5 * (slope + (ahead - led(ahead, sigmas[i + 1])) / sigmas[i + 1])
            ahead = x + (sigmas[i + 1] - sigmas[i]) * slope
        x = ahead
    return x


@pytest.mark.parametrize("guide", ["posterior", "denoised"])
def test_one_agent_is_policy_guided_diffusion(guide):
    model = model_for(walks((9, 8))).double()
    policy = GaussianPolicy(torch.tensor([[0.3, -0.2]], dtype=torch.float64), 0.4)
    got = Coda(model, guide=guide, weight=0.5, steps=6, churn=0.0).segments(policy, 7, Streams((0,), "t"))[0]
    want = plain_policy_guided_diffusion(model, policy, 7, 0.5, 6, guide)
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-9)


def test_squashed_actions_are_led_and_bounded():
    data = walks((9, 8), TRIO)
    coda = Coda(model_for(data, action_map="squash"), steps=8, weight=20.0)
    policy = joint()
    rows, alive = coda.draw(policy, 50, Streams((0,), "t"))
    assert float(rows.action.abs().max()) < 1
    near = (rows.action - policy.mean)[alive].square().sum().div(4 * alive.sum()).sqrt()
    assert float(near) == pytest.approx(float(coda.metrics()["source/action_distance"]), rel=1e-4)
    assert float(near) < 0.35


def test_static_keeps_its_first_draw_through_a_resume():
    model, policy = model_for(walks((9, 8), TRIO)), joint()
    streams = Streams((0,), "t")
    static = Coda(model, weight=0.0, once=True, steps=4)
    assert static.state_dict() == {}
    first, again = static.draw(policy, 5, streams), static.draw(policy, 5, streams)
    assert torch.equal(first[0].action, again[0].action)
    resumed = Coda(model, weight=0.0, once=True, steps=4)
    resumed.load_state_dict(static.state_dict())
    back, alive = resumed.draw(policy, 5, Streams((9,), "other"))
    assert torch.equal(back.next_obs, first[0].next_obs)
    assert torch.equal(alive, first[1])
    assert back.terminal.dtype == torch.bool
    with pytest.raises(MismatchError, match=r"\(1, 15\) rows, asked for \(1, 18\)"):
        resumed.draw(policy, 6, streams)
    with pytest.raises(CheckpointError, match="damaged"):
        resumed.load_state_dict({"kept": {"obs": torch.zeros(1)}})
    fresh = Coda(model, weight=0.0, steps=4)
    assert not torch.equal(fresh.draw(policy, 5, streams)[0].obs, fresh.draw(policy, 5, streams)[0].obs)


def test_rows_after_a_terminal_and_rows_not_finite_are_void():
    model = model_for(walks((9, 8), TRIO))
    terminal = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, -1, -1]])
    clean = torch.zeros(5, 4, model.shape.width)
    clean[:, :-1, -1] = terminal
    clean[4, 1, 0] = torch.nan
    clean[0, 3, 1] = 1001.0  # the last successor of a segment
    model.denoise = lambda x, sigma: clean.expand_as(x)
    coda = Coda(model, weight=0.0, steps=2)
    rows, alive = coda.draw(joint(), 5, Streams((0,), "t"))
    want = [[True, True, False], [True, False, False], [True, True, False], [True] * 3, [False] * 3]
    assert alive.view(3, 5).T.tolist() == want
    assert all(getattr(rows, name).isfinite().all() for name in ("obs", "next_obs", "action", "reward"))
    assert float(coda.metrics()["source/void"]) == pytest.approx(7 / 15)


def test_metrics_by_a_loop():
    coda = Coda(model_for(walks((9, 8), TRIO)), steps=4)
    policy = joint(2)
    rows, alive = coda.draw(policy, 5, Streams((0, 1), "t"))
    found = coda.metrics()
    for s in range(2):
        live = alive[s].nonzero().flatten().tolist()
        off = [(rows.action[s, i] - policy.mean[s]).square().sum() / 4 for i in live]
        want = (sum(off) / len(live)) ** 0.5
        assert float(found["source/action_distance"][s]) == pytest.approx(float(want), rel=1e-5)
        assert float(found["source/reward"][s]) == pytest.approx(float(rows.reward[s, live].mean()), rel=1e-4)


def test_what_it_is():
    coda = Coda(model_for(walks((9, 8), TRIO)))
    assert isinstance(coda, Stateful)
    assert isinstance(coda, Reporting)
    coda.check(Still(torch.zeros(1, 3, 2)))
    with pytest.raises(ConfigError, match="policy without log_prob"):
        coda.check(object())
    Coda(coda.model, weight=0.0).check(object())


@pytest.mark.parametrize("guide", GUIDES)
def test_on_a_gpu_no_draw_but_the_first_waits(guide, cuda):
    coda = Coda(model_for(walks((9, 8), TRIO)).cuda(), guide=guide, schedule="damped", steps=4, churn=1.0)
    policy = joint(2)
    policy.mean = policy.mean.cuda()
    streams = Streams((0, 1), "t", "cuda")
    coda.draw(policy, 5, streams)
    with cuda.no_waiting():
        rows, alive = coda.draw(policy, 5, streams)
    assert rows.obs.is_cuda
    assert alive.is_cuda
    assert rows.action.isfinite().all()


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("guide", GUIDES)
def test_captured_draws_are_eager_ones_and_follow_a_policy_that_changes_in_place(guide):
    model = model_for(walks((9, 8), TRIO)).cuda()
    drawn = {}
    for mode in ("eager", "auto"):
        coda = Coda(model, guide=guide, schedule="damped", steps=4, churn=1.0, mode=mode)
        policy, streams, drawn[mode] = joint(2), Streams((0, 1), "t", "cuda"), []
        policy.mean = policy.mean.cuda()
        for _ in range(6):
            rows, alive = coda.draw(policy, 5, streams)
            drawn[mode] += [rows.action, rows.next_obs, alive]
            policy.mean *= 0.5
    assert all(torch.equal(a, b) for a, b in zip(drawn["auto"], drawn["eager"], strict=True))
    assert not torch.equal(drawn["auto"][-6], drawn["auto"][-3])


def test_another_policy_number_or_stream_is_another_draw():
    coda = Coda(model_for(walks((9, 8), TRIO)), steps=4)
    one, other = joint(2), joint(2)
    other.mean = -other.mean
    streams = [Streams((0, 1), "t") for _ in range(4)]
    for policy, n, i in ((one, 3, 0), (other, 3, 0), (other, 4, 0), (other, 4, 2)):
        fresh = Coda(coda.model, steps=4).segments(policy, n, streams[i + 1])
        assert torch.equal(coda.segments(policy, n, streams[i]), fresh)
    with pytest.raises(ConfigError, match="needs device=cuda"):
        Coda(coda.model, steps=4, mode="graph").segments(one, 3, streams[0])
