"""What every denoising network must do, whichever it is."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.dynamics.diffusion.layers import from_agents, to_agents
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.networks import DENOISERS, make_network
from mbrl.dynamics.diffusion.shape import SegmentShape

UNEQUAL = Layout((3, 2), (1, 2))
SHAPES = [
    SegmentShape(1, Layout((1,), (1,)), joint=False),
    SegmentShape(1, UNEQUAL),
    SegmentShape(6, UNEQUAL),
]


def model_of(name, shape, seed=0):
    """A model whose last layer is no longer 0."""
    model = DiffusionModel(shape, network=name, width=16, depth=2, seed=seed)
    g = torch.Generator().manual_seed(3)
    for p in model.net.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=g)
    return model


def test_agents_view_of_a_segment_round_trips():
    shape = SHAPES[2]
    x = torch.randn(4, shape.tokens, shape.width)
    each = to_agents(shape, x)
    assert each.shape == (4, 7, 2, 3 + 2 + 2)
    assert torch.allclose(from_agents(shape, each), x)


@pytest.mark.parametrize("name", sorted(DENOISERS))
@pytest.mark.parametrize("shape", SHAPES, ids=["single", "pair", "long"])
def test_shapes_mask_and_gradients(name, shape):
    model = model_of(name, shape)
    x = torch.randn(2, 5, shape.tokens, shape.width) * model.mask
    out = model.denoise(x, torch.rand(2, 5) + 0.1)
    assert out.shape == x.shape
    assert not (out * ~model.mask).any()
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.net.parameters())


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_a_new_network_says_nothing_so_that_the_denoiser_is_that_of_noise(name):
    model = DiffusionModel(SHAPES[1], network=name, width=16, depth=2)
    x = torch.randn(3, 2, model.shape.width) * model.mask
    assert torch.allclose(model.denoise(x, 2.0), x / 5)


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_every_entry_can_hear_of_every_other(name):
    model = model_of(name, SHAPES[2])
    x = (torch.randn(1, 7, model.shape.width) * model.mask).requires_grad_()
    out = model.denoise(x, 0.5)
    for token, column in ((0, 1), (5, 6), (2, model.shape.width - 2)):
        (grad,) = torch.autograd.grad(out[0, token, column], x, retain_graph=True)
        obs, action, reward, _ = model.shape.split(grad[0])
        assert obs[..., 0].ne(0).all()
        assert action[:-1, 1].ne(0).all()
        assert reward[:-1].ne(0).all()


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_rows_do_not_meet(name):
    model = model_of(name, SHAPES[2]).double()
    x = torch.randn(4, 7, model.shape.width, dtype=torch.float64)
    alone = torch.cat([model.denoise(row.unsqueeze(0), 0.5) for row in x])
    assert torch.allclose(model.denoise(x, 0.5), alone)


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_weights_depend_on_the_seed_alone(name):
    before = torch.get_rng_state()
    a, b, other = (make_network(name, SHAPES[1], width=8, depth=2, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], other[k]) for k in a)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "mpl"}, "unknown diffusion network 'mpl'; did you mean 'mlp'"),
        ({"action_map": "clipp"}, "unknown action map 'clipp'; did you mean 'clip'"),
        ({"width": 0}, "width=0"),
        ({"sigma_data": 0.0}, "sigma_data=0"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        DiffusionModel(SHAPES[0], **options)
