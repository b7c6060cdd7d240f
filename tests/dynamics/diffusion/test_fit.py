"""The fit: its loss by hand, what it learns, what it repeats, and how it fails."""

import math

import pytest
import torch

from mbrl.core.errors import CheckpointError, ConfigError, DataError, DivergenceError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.dynamics.diffusion.artefact import load_diffusion, save_diffusion
from mbrl.dynamics.diffusion.cache import fit_diffusion_cached
from mbrl.dynamics.diffusion.fit import denoising_loss, fit_diffusion
from mbrl.dynamics.diffusion.holdout import held_out, spread_levels
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import segments
from mbrl.dynamics.diffusion.source import Coda
from tests.dynamics.diffusion.worlds import PAIR, games, walks

QUICK = {"steps": 30, "batch_size": 16, "log_every": 10, "progress": False}
SMALL = {"width": 16, "depth": 1}


def fitted(data=None, horizon=2, *, model=None, **options):
    found = segments(data or walks((12, 9, 14)), horizon)
    made = DiffusionModel(found.shape, **(SMALL | (model or {})))
    return made, fit_diffusion(made, found, **(QUICK | options))


@torch.no_grad()
def test_loss_against_a_loop():
    found = segments(walks((12, 9)), 2)
    model = DiffusionModel(found.shape, **SMALL)
    x = found[torch.arange(4)] * model.mask
    sigma, noise = torch.tensor([0.1, 0.5, 1.0, 3.0]), torch.randn(x.shape)
    total = 0.0
    for i in range(4):
        s = float(sigma[i])
        clean = model.denoise((x[i : i + 1] + s * noise[i : i + 1]) * model.mask, s)
        error = [(clean[0] - x[i])[t, d] ** 2 for t, d in model.mask.nonzero().tolist()]
        total += (s**2 + 1) / s**2 * float(sum(error)) / len(error) / 4
    assert float(denoising_loss(model, x, sigma, noise)) == pytest.approx(total, rel=1e-5)


@torch.no_grad()
def test_a_model_that_knows_nothing_scores_one():
    g = torch.Generator().manual_seed(0)
    model = DiffusionModel(segments(games(torch.zeros(2, 2, 1), torch.zeros(2), PAIR), 1).shape)
    x = torch.randn(20_000, 2, model.shape.width, generator=g) * model.mask
    loss = denoising_loss(model, x, spread_levels(len(x)), torch.randn(x.shape, generator=g))
    assert float(loss) == pytest.approx(1.0, abs=0.02)


def test_the_report_and_log():
    lines = []
    _, report = fitted(on_log=lines.append)
    assert [line["step"] for line in report.log] == [10, 20, 30]
    assert report.log == lines
    assert report.train_segments + report.holdout_segments == 11 + 8 + 13
    assert "30 steps" in report.summary()


def test_it_learns():
    _, report = fitted(steps=300, log_every=100, model={"width": 64}, lr=3e-3)
    assert report.log[-1]["train_loss"] < 0.8 * report.log[0]["train_loss"]


def test_same_seed_same_bits():
    one, two, other = fitted()[0], fitted()[0], fitted(model={"seed": 1})[0]
    a, b, c = one.state_dict(), two.state_dict(), other.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_held_out_episodes_are_whole_and_no_row_is_in_both():
    found = segments(walks((12, 9, 14, 10)), 3)
    train, held = held_out(found, 0.3, Streams((0,), "t"))
    assert not set(found.episode[train].tolist()) & set(found.episode[held].tolist())
    assert len(train) + len(held) == len(found)


def test_a_single_episode_is_split_in_time():
    found = segments(walks((30,)), 4)
    train, held = held_out(found, 0.2, Streams((0,), "t"))
    assert int(found.starts[train].max()) + 4 <= int(found.starts[held].min())
    with pytest.raises(DataError, match="too few"):
        held_out(segments(walks((4,)), 4), 0.2, Streams((0,), "t"))


def test_levels_are_those_of_training():
    levels = spread_levels(1000).log()
    assert float(levels.mean()) == pytest.approx(-1.2, abs=0.01)
    assert float(levels.std()) == pytest.approx(1.2, abs=0.02)
    assert float(levels[:100].mean()) == pytest.approx(-1.2, abs=0.1)


def test_divergence_is_said_with_its_likely_cause():
    with pytest.raises(DivergenceError, match="loss is .* at step .*lower lr=1e\\+30"):
        fitted(lr=1e30)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"lr": 0.0}, {"ema": 1.0}, {"holdout_fraction": 0.0}])
def test_impossible_options(bad):
    with pytest.raises(ConfigError, match="diffusion"):
        fitted(**bad)


def test_segments_of_another_shape():
    model, _ = fitted()
    with pytest.raises(MismatchError, match="the model is of segments"):
        fit_diffusion(model, segments(walks((12, 9)), 3), **QUICK)


def same_samples(a, b):
    draws = [Coda(m, weight=0.0, steps=4).segments(None, 5, Streams((0,), "t")) for m in (a, b)]
    return torch.equal(*draws)


def test_saved_and_loaded_is_the_same(tmp_path):
    model, report = fitted(model={"network": "attention", "action_map": "squash"})
    save_diffusion(tmp_path / "m", model, dataset_id="a", dataset_sha256="12", report=report.as_dict())
    loaded, meta = load_diffusion(tmp_path / "m", shape=model.shape, dataset_sha256="12")
    assert same_samples(model, loaded)
    assert meta["report"] == report.as_dict()
    with pytest.raises(MismatchError, match="fitted to dataset a"):
        load_diffusion(tmp_path / "m", dataset_sha256="34")
    with pytest.raises(MismatchError, match="asked for"):
        load_diffusion(tmp_path / "m", shape=segments(walks((9,)), 3).shape)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_diffusion(tmp_path / "n")


def test_the_cache_fits_once(tmp_path):
    data, calls = walks((12, 9, 14)), []
    options = {"horizon": 2, "model": SMALL, **QUICK}
    first, report = fit_diffusion_cached(tmp_path, data, on_log=calls.append, **options)
    again, same = fit_diffusion_cached(tmp_path, data, on_log=calls.append, **options)
    assert len(calls) == 3
    assert same == report
    assert same_samples(first, again)
    fit_diffusion_cached(tmp_path, data, **{**options, "model": {**SMALL, "seed": 1}})
    fit_diffusion_cached(tmp_path, walks((12, 9, 14), seed=1), **options)
    fit_diffusion_cached(tmp_path, data, **{**options, "steps": 31})
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 4
    with pytest.raises(TypeError, match="stepz"):
        fit_diffusion_cached(tmp_path, data, **options, stepz=1)


def mixture(n=4000):
    """Joint actions at (a, a) or (-a, -a), 3 to 1, with a = 0.5 and a deviation of 0.1; reward the product."""
    g = torch.Generator().manual_seed(0)
    sign = torch.where(torch.rand(n, 1, 1, generator=g) < 0.75, 0.5, -0.5)
    action = sign + 0.1 * torch.randn(n, 2, 1, generator=g)
    return games(action, action.prod(1).squeeze(-1), PAIR)


@pytest.fixture(scope="module")
def of_a_mixture():
    sizes = {"width": 64, "depth": 2}
    return fitted(mixture(), 1, model=sizes, steps=1200, batch_size=256, lr=3e-3)[0]


def test_a_mixture_is_learned_and_sampled(of_a_mixture):
    rows, alive = Coda(of_a_mixture, weight=0.0, steps=32).draw(Still0(), 4000, Streams((0,), "t"))
    action = rows.action[0, :, :, 0]
    right = (action > 0).all(-1)
    assert alive.all()
    assert rows.terminal.all()
    assert float(right.float().mean()) == pytest.approx(0.75, abs=0.05)
    assert float(((action > 0).sum(-1) == 1).float().mean()) < 0.01
    assert action[right].mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.03)
    assert action[right].std(0).tolist() == pytest.approx([0.1, 0.1], abs=0.03)
    assert float((rows.reward[0] - action.prod(-1)).abs().median()) < 0.03
    assert math.isclose(float(rows.obs.abs().max()), 0.0, abs_tol=1e-3)


class Still0:
    deterministic = True

    def act(self, obs, streams=None):
        return torch.zeros_like(obs)


def test_a_model_does_not_leave_its_data(of_a_mixture):
    # Led towards (-0.9, -0.9): the nearer mode, N(-0.5, 0.1^2), times a policy as wide has its mean at -0.7. The
    # network's extrapolation goes on from there (docs/diffusion_guidance.md), but not to the policy.

    class Far(Still0):
        def act(self, obs, streams=None):
            return torch.full_like(obs, -0.9)

    rows, _ = Coda(of_a_mixture, guide="conjugate", width=0.1, steps=32).draw(Far(), 1000, Streams((0,), "t"))
    action = rows.action[0, :, :, 0]
    assert float((action < 0).all(-1).float().mean()) > 0.95
    assert -0.87 < float(action.mean()) < -0.65
