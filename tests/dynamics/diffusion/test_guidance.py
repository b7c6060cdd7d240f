"""Each guide by hand, and what the guided denoiser makes of a model's units."""

import math

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.diagnose.gaussian_samples import GaussianModel, GaussianPolicy
from mbrl.dynamics.diffusion.guidance import GUIDES, SCHEDULES, View, conditioned, noised_score, unit
from mbrl.dynamics.diffusion.guided import Guiding, guided, look
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.policies import Widened, as_guide
from mbrl.dynamics.diffusion.shape import SegmentShape
from tests.dynamics.diffusion.worlds import PAIR, Still

DOUBLE = torch.float64


def view(sigma=2.0, noisy=3.0, denoised=1.0, mean=4.0, std=0.5, gain=0.2):
    """One action entry with numbers of one's own; sd = 1."""
    full = lambda v: torch.full((1, 1, 1, 1), v, dtype=DOUBLE)  # noqa: E731
    return View(
        sigma=sigma,
        sd=1.0,
        noisy=full(noisy),
        denoised=full(denoised),
        score=lambda u: (mean - u) / std**2,
        gaussian=lambda: (full(mean), full(std)),
        pull=lambda v: gain * v,
    )


def test_guides_by_hand():
    # sigma^2 = 4, s^2 = 1/4, V = 4 / 5, J = 0.2, lambda = 2.
    want = {
        "noisy": 4 * 2 * (4 - 3) / 0.25,
        "denoised": 4 * 2 * (4 - 1) / 0.25,
        "noise_aware": 4 * 2 * (4 - 3) / 4.25,
        "posterior": 0.8 * (4 - 1) / (0.125 + 0.8),
        "jacobian": 0.8 * (4 - 1) / (0.125 + 0.8),
        "conjugate": 0.8 * (4 - 1) / (0.125 + 0.8),
    }
    assert {name: float(guide(view(), 2.0)) for name, guide in GUIDES.items()} == pytest.approx(want)


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_guides_are_nothing_without_weight_and_at_agreement(name):
    assert float(GUIDES[name](view(), 0.0)) == 0
    assert float(GUIDES[name](view(noisy=4.0, denoised=4.0), 2.0)) == 0


def test_conjugate_gradients_solve_a_coupled_system():
    # Two actions with V = 4 [[.3, .2], [.2, .4]], s = (0.5, 1): solved by hand as a matrix.
    gain = torch.tensor([[0.3, 0.2], [0.2, 0.4]], dtype=DOUBLE)
    std = torch.tensor([0.5, 1.0], dtype=DOUBLE).view(1, 1, 1, 2)
    mean, found = torch.tensor([1.0, -2.0], dtype=DOUBLE), torch.tensor([0.3, 0.1], dtype=DOUBLE)
    at = View(
        sigma=2.0,
        sd=1.0,
        noisy=found.view(1, 1, 1, 2),
        denoised=found.view(1, 1, 1, 2),
        score=torch.zeros_like,
        gaussian=lambda: (mean.view(1, 1, 1, 2), std),
        pull=lambda v: v @ gain.T,
    )
    variance = 3.0 * 4.0 * gain
    want = variance @ torch.linalg.solve(torch.diag(std.flatten() ** 2) + variance, mean - found)
    assert torch.allclose(GUIDES["conjugate"](at, 3.0).flatten(), want)
    assert not torch.allclose(GUIDES["jacobian"](at, 3.0).flatten(), want, rtol=0.01)


def test_small_formulas():
    assert float(noised_score(torch.tensor(1.0), torch.tensor(3.0), torch.tensor(2.0), 1.0)) == pytest.approx(
        0.4
    )
    one = torch.tensor(1.0)
    assert float(conditioned(0 * one, one, one, variance=1.0, weight=1.0)) == pytest.approx(0.5)


def test_unit_is_finite_at_zero_and_has_length_one():
    gradient = torch.zeros(2, 3, 2, 2)
    gradient[0, 0, 0] = torch.tensor([3.0, 4.0])
    gradient[1, 1, 1, 1] = 1e-15
    found = unit(gradient)
    assert found.isfinite().all()
    assert found.flatten(1).norm(dim=-1).tolist() == pytest.approx([1.0, 1.0])
    assert torch.allclose(found[0, 0, 0], torch.tensor([0.6, 0.8]))
    assert not found[0, 1].any()


def test_schedules_by_hand():
    at = {name: [fn(s, 80.0) for s in (80.0, 1.0, 0.5)] for name, fn in SCHEDULES.items()}
    assert at["constant"] == [1, 1, 1]
    assert at["late"] == [0, 1, 1]
    assert at["damped"] == pytest.approx([1 / 6401, 0.5, 0.8])
    assert at["ramp"] == pytest.approx([0.0, 1 - (1 / 80) ** (1 / 7), 1 - (0.5 / 80) ** (1 / 7)])


@pytest.mark.parametrize("bad", [{"guide": "posteriour"}, {"schedule": "rampp"}, {"weight": -1.0}])
def test_unknown_names(bad):
    with pytest.raises(ConfigError, match="did you mean|at least 0"):
        Guiding(**bad)


def scaled(action_map="clip", horizon=2):
    """A model with units of its own, for agents of unequal sizes, and a segment."""
    shape = SegmentShape(horizon, Layout((2, 1), (1, 2)))
    model = DiffusionModel(shape, width=8, depth=1, action_map=action_map).double()
    g = torch.Generator().manual_seed(1)
    model.mean.copy_(0.1 * torch.randn(shape.width, generator=g))
    model.std.copy_(0.5 + torch.rand(shape.width, generator=g))
    for p in model.net.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=g, dtype=DOUBLE)
    return model, torch.randn(1, 3, horizon + 1, shape.width, generator=g, dtype=DOUBLE) * model.mask


def test_a_score_is_the_gradient_in_the_models_own_units():
    for name in ("clip", "squash"):
        model, x = scaled(name)
        policy = GaussianPolicy(torch.tensor([[[0.2, 0.0], [-0.3, 0.1]]], dtype=DOUBLE), 0.4)
        seen, _ = look(model, policy, x, 0.3)
        u = 0.2 * seen.noisy
        mean, std = model.shape.split(torch.stack([model.mean, model.std])).action

        def log_prob(u, model=model, mean=mean, std=std, policy=policy):
            action = model.actions.decode(mean + std * u) * model.shape.layout.action_mask()
            return -0.5 * ((action - policy.mean[:, None, None]) / policy.std).square().sum()

        want = torch.autograd.functional.jacobian(log_prob, u)
        assert torch.allclose(seen.score(u), want, atol=1e-9), name


def test_a_gaussian_in_the_models_own_units():
    model, x = scaled()
    policy = GaussianPolicy(torch.tensor([[[0.2, 0.0], [-0.3, 0.1]]], dtype=DOUBLE), 0.4)
    mean, std = look(model, policy, x, 0.3)[0].gaussian()
    shift, scale = model.shape.split(torch.stack([model.mean, model.std])).action
    assert float(mean[0, 2, 1, 1, 0]) == pytest.approx(float((-0.3 - shift[1, 0]) / scale[1, 0]))
    assert float(std[0, 2, 1, 1, 0]) == pytest.approx(float(0.4 / scale[1, 0]))
    assert not mean[..., 0, 1].any()


def test_pull_is_the_denoisers_transposed_derivative():
    model, x = scaled()
    policy = GaussianPolicy(torch.zeros(1, 2, 2, dtype=DOUBLE), 0.4)
    seen, _ = look(model, policy, x, 0.7, differentiable=True)
    v = torch.randn(seen.noisy.shape, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    v = v * model.shape.layout.action_mask()
    whole = torch.autograd.functional.jacobian(lambda z: model.denoise(z, 0.7), x).flatten(4).flatten(0, 3)
    out = torch.zeros_like(x)
    out[..., :-1, model.shape.action_columns] = v.flatten(-2)
    want = (out.flatten() @ whole).view_as(x)[..., :-1, model.shape.action_columns].unflatten(-1, (2, 2))
    assert torch.allclose(seen.pull(v), want)


@pytest.mark.parametrize("name", sorted(GUIDES))
@pytest.mark.parametrize("normalise", [False, True])
def test_only_actions_move(name, normalise):
    model, x = scaled()
    policy = GaussianPolicy(torch.tensor([[[0.2, 0.0], [-0.3, 0.1]]], dtype=DOUBLE), 0.4)
    moved = guided(model, policy, Guiding(guide=name, normalise=normalise), 80.0)(x, 0.7)
    shift = moved - model.denoise(x, 0.7)
    columns = model.shape.action_columns
    real = torch.zeros_like(model.mask)
    real[:-1, columns] = model.shape.columns()[columns]
    assert (shift[..., real] != 0).all()
    assert not shift[..., ~real].any()
    assert not moved.requires_grad


def test_a_normalised_shift_has_its_stated_length():
    model, x = scaled()
    policy = GaussianPolicy(torch.tensor([[[0.2, 0.0], [-0.3, 0.1]]], dtype=DOUBLE), 0.4)
    how = Guiding(guide="noisy", weight=2.0, normalise=True)
    shift = guided(model, policy, how, 80.0)(x, 0.75) - model.denoise(x, 0.75)
    # c_out(0.75, 1) = 0.75 / 1.25 = 0.6; three action entries in two steps.
    assert shift.flatten(2).norm(dim=-1).tolist()[0] == pytest.approx([2 * 0.6 * 6**0.5] * 3)


def test_no_weight_costs_no_policy_call():
    model = GaussianModel(PAIR, torch.zeros(2, dtype=DOUBLE), torch.eye(2, dtype=DOUBLE))
    policy = GaussianPolicy(torch.zeros(1, 2, 1, dtype=DOUBLE), 0.4)
    assert guided(model, None, Guiding(weight=0.0), 80.0) == model.denoise
    lead = guided(model, policy, Guiding(guide="noisy", schedule="late"), 80.0)
    x = torch.ones(1, 1, 2, model.shape.width, dtype=DOUBLE)
    assert torch.equal(lead(x, 2.0), model.denoise(x, 2.0))
    assert policy.calls == 0


def test_a_widened_policy_is_a_gaussian_around_its_action():
    still = Still(torch.tensor([[[0.5], [-0.2]]]))
    wide = Widened(still, 0.2)
    obs = torch.zeros(1, 3, 2, 1)
    action = torch.zeros(1, 3, 2, 1)
    want = [-0.5 * (m / 0.2) ** 2 - math.log(0.2 * math.sqrt(2 * math.pi)) for m in (0.5, -0.2)]
    assert wide.log_prob(obs, action)[0, 0].tolist() == pytest.approx(want)
    assert torch.equal(wide.act(obs, Streams((0,), "x")), still.act(obs))


class Mute:
    def act(self, obs, streams=None):
        return obs


def test_policies_that_cannot_guide():
    with pytest.raises(ConfigError, match="Mute is a policy without log_prob .* deterministic = True"):
        as_guide(Mute(), 0.1)
    with pytest.raises(ConfigError, match="Still is deterministic, a policy without log_prob; give `width`"):
        as_guide(Still(torch.zeros(1, 2, 1)), None)
    with pytest.raises(ConfigError, match="width=0"):
        as_guide(Still(torch.zeros(1, 2, 1)), 0.0)
    normal = GaussianPolicy(torch.zeros(1, 2, 1), 0.1)
    assert as_guide(normal, None) is normal
