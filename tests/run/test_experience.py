"""Batches: how many rows of which kind, when the synthetic ones are renewed, and what a resume needs."""

from dataclasses import replace

import pytest
import torch

from mbrl.core.checkpoint import load_tree, save_tree
from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import Streams
from mbrl.run.experience import MixedData, RealData
from mbrl.run.sources import ModelRollouts
from tests.fakes import Towards, Walk, random_transitions

SEEDS = (0, 1)


def mixed(data=None, model=None, *, horizon=3, **options):
    data = random_transitions(50) if data is None else data
    source = ModelRollouts(model or Walk(), data, horizon=horizon)
    return MixedData(data, source, **{"starts": 8, "retain": 2, "refresh_every": 5, **options})


def test_real_data_is_the_dataset_drawn_uniformly_with_replacement():
    data = random_transitions(10)
    batch = RealData(data, batch_size=5000).sample(Streams(SEEDS, "e"))
    assert batch.obs.shape == (2, 5000, 3)
    for s in range(2):
        found = (batch.obs[s].unsqueeze(1) == data.obs).all(-1)
        index = found.int().argmax(1)
        assert found.any(1).all()
        assert torch.equal(batch.reward[s], data.reward[index])
        assert torch.equal(batch.terminal[s], data.terminal[index])
        counts = index.bincount(minlength=10).double()
        assert ((counts - 500).square() / 500).sum() < 27.9  # 0.1 % tail of 9 degrees of freedom


def test_real_data_never_refreshes_and_has_no_state():
    experience = RealData(random_transitions(10))
    assert experience.refresh_every is None
    assert experience.state_dict() == {}
    experience.load_state_dict({})


@pytest.mark.parametrize(
    ("ratio", "real"), [(0.05, 12), (0.0, 0), (0.5, 128), (1.0, 256), (0.999, 255), (0.003, 0)]
)
def test_the_real_share_is_the_whole_rows_of_the_ratio(ratio, real):
    experience = mixed(batch_size=256, real_ratio=ratio)
    experience.refresh(Towards(), Streams(SEEDS, "r"))
    batch = experience.sample(Streams(SEEDS, "e"))
    assert batch.reward.shape == (2, 256)
    assert (batch.step[:, :real] == 0).all()
    assert (batch.step[:, real:] >= 1).all()
    assert (batch.step[:, real:] <= 3).all()


def test_synthetic_rows_are_transitions_of_the_model_and_real_ones_of_the_data():
    data = random_transitions(50)
    experience = mixed(data, batch_size=64, real_ratio=0.25)
    experience.refresh(Towards(), Streams(SEEDS, "r"))
    batch = experience.sample(Streams(SEEDS, "e"))
    moved = batch.obs.clone()
    moved[..., :2] += batch.action
    assert torch.equal(moved[:, 16:], batch.next_obs[:, 16:])
    assert (batch.obs[:, :16].unsqueeze(2) == data.obs).all(-1).any(-1).all()


def test_a_simulators_state_in_the_data_alone_is_left_out_of_batches():
    data = random_transitions(50)
    experience = mixed(replace(data, sim_state=torch.zeros(50, 2, dtype=torch.float64)), real_ratio=0.5)
    experience.refresh(Towards(), Streams(SEEDS, "r"))
    assert experience.sample(Streams(SEEDS, "e")).sim_state is None


def test_a_refresh_reports_what_it_drew():
    # rollouts end where the first entry passes 0, going right from -1.5: at step 2
    data = random_transitions(50)
    data = replace(data, obs=torch.tensor([-1.5, 0.0, 0.0]).expand(50, 3))
    experience = mixed(data, Walk(ends=lambda s: s[..., 0] > 0), horizon=4)

    class Right(Towards):
        def act(self, obs, streams=None):
            return torch.tensor([1.0, 0.0]).expand(*obs.shape[:-1], 2)

    metrics = experience.refresh(Right(), Streams(SEEDS, "r"))
    assert metrics["source/alive"].tolist() == [0.5, 0.5]  # 2 of 4 steps
    assert metrics["source/terminal"].tolist() == [0.5, 0.5]  # every second living row
    assert metrics["source/reward_mean"].tolist() == pytest.approx([-0.25, -0.25])  # -(0.5)^2 both times
    assert experience.synthetic.size.tolist() == [16, 16]


def test_old_refreshes_are_forgotten():
    experience = mixed(retain=2)
    for i in range(4):
        experience.refresh(Towards(), Streams(SEEDS, f"r{i}"))
        assert experience.synthetic.size.tolist() == [24 * min(i + 1, 2)] * 2


@pytest.mark.parametrize("dead", [[0], [1], [0, 1]])
def test_a_refresh_without_a_living_row_is_divergence_naming_the_members(dead):
    class Broken(Towards):
        def act(self, obs, streams=None):
            action = super().act(obs, streams)
            action[dead] = torch.nan
            return action

    experience, sound = mixed(), mixed()
    with pytest.raises(DivergenceError) as caught:
        experience.refresh(Broken(), Streams((7, 9), "r"))
    why = "no finite row in a whole refresh: the model or the policy has diverged"
    expected = {place: f"seed {(7, 9)[place]}: {why}" for place in dead}
    assert caught.value.members == expected
    assert str(caught.value) == "; ".join(expected.values())
    # all is done for the others
    metrics = sound.refresh(Towards(), Streams((7, 9), "r"))
    for place in {0, 1} - set(dead):
        assert experience.reported.keys() == metrics.keys()
        assert all(torch.equal(experience.reported[k][place], metrics[k][place]) for k in metrics)
        ours, theirs = (x.synthetic.storage for x in (experience, sound))
        for name in ("obs", "action", "next_obs"):
            assert torch.equal(getattr(ours, name)[place], getattr(theirs, name)[place])


def test_members_that_the_source_says_it_lost_are_named_with_its_reason():
    experience = mixed()
    experience.source.diverged = {1: "seed 9: its model is gone"}
    with pytest.raises(DivergenceError, match="^seed 9: its model is gone$") as caught:
        experience.refresh(Towards(), Streams((7, 9), "r"))
    assert caught.value.members == {1: "seed 9: its model is gone"}
    assert experience.synthetic.size.tolist() == [24, 24]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"real_ratio": 1.5}, "real_ratio=1.5: a share lies between 0 and 1"),
        ({"real_ratio": -0.1}, "real_ratio=-0.1"),
        ({"starts": 0}, "starts=0: must be at least 1"),
        ({"retain": 0}, "retain=0"),
        ({"refresh_every": 0}, "refresh_every=0"),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        mixed(**options)


def test_saved_and_loaded_it_gives_the_same_batches(tmp_path):
    data = random_transitions(50)
    experience, other = mixed(data), mixed(data)
    for i in range(3):
        experience.refresh(Towards(), Streams(SEEDS, f"r{i}"))
    save_tree(tmp_path / "c", experience.state_dict(), {})
    other.load_state_dict(load_tree(tmp_path / "c")[0])
    for i in range(3):
        a, b = (x.sample(Streams(SEEDS, f"e{i}")) for x in (experience, other))
        assert all(v is None or torch.equal(v, getattr(b, k)) for k, v in vars(a).items())
        for x in (experience, other):
            x.refresh(Towards(), Streams(SEEDS, f"more{i}"))


def test_a_stack_is_its_singles():
    data = random_transitions(50)
    stacked, alone = mixed(data, Walk(noise=0.1)), mixed(data, Walk(noise=0.1))
    streams, single = Streams((3, 8), "e"), Streams((8,), "e")
    for _ in range(3):
        metrics, one = stacked.refresh(Towards(), streams), alone.refresh(Towards(), single)
        assert all(torch.equal(metrics[k][1], one[k][0]) for k in metrics)
        assert torch.equal(stacked.sample(streams).obs[1], alone.sample(single).obs[0])


RATIOS = (0.25, 0.0, 0.5, 0.25, 1.0)


@pytest.mark.parametrize("ratios", [RATIOS, (0.25,) * 5, (0.1,) * 2 + (0.2,) * 3])
def test_members_with_ratios_of_their_own_draw_what_they_would_alone(ratios):
    data, seeds = random_transitions(50), (3, 8, 3, 5, 1)
    stacked, streams = mixed(data, Walk(noise=0.1), real_ratio=ratios), Streams(seeds, "e")
    singles = [
        (mixed(data, Walk(noise=0.1), real_ratio=r), Streams((s,), "e"))
        for r, s in zip(ratios, seeds, strict=True)
    ]
    for _ in range(3):
        stacked.refresh(Towards(), streams)
        for alone, single in singles:
            alone.refresh(Towards(), single)
        for _ in range(2):
            batch = stacked.sample(streams)
            for place, (alone, single) in enumerate(singles):
                one = alone.sample(single)
                assert all(
                    v is None or torch.equal(v[place], getattr(one, k)[0]) for k, v in vars(batch).items()
                )
    states = torch.cat([single.state_dict()["state"] for _, single in singles])
    assert torch.equal(streams.state_dict()["state"], states)


def test_ratios_of_another_number_of_seeds_are_refused_before_any_draw():
    experience = mixed(real_ratio=(0.1, 0.2, 0.3))
    with pytest.raises(ConfigError, match="real_ratio: 3 values for a stack of 2"):
        experience.refresh(Towards(), Streams(SEEDS, "r"))
    assert experience.synthetic.storage is None


class Learning(ModelRollouts):
    """A source with a state and figures of its own."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.draws = torch.zeros(len(SEEDS))

    def draw(self, policy, n, streams):
        self.draws += 1
        return super().draw(policy, n, streams)

    def metrics(self):
        return {"source/draws": self.draws.clone()}

    def state_dict(self):
        return {"draws": self.draws}

    def load_state_dict(self, state):
        self.draws = state["draws"].clone()


def learning():
    data = random_transitions(50)
    return MixedData(data, Learning(Walk(), data, horizon=3), starts=8, retain=2, refresh_every=5)


def test_a_sources_own_figures_are_reported_and_its_state_saved(tmp_path):
    experience, other = learning(), learning()
    for _ in range(3):
        metrics = experience.refresh(Towards(), Streams(SEEDS, "r"))
    assert metrics["source/draws"].tolist() == [3, 3]
    save_tree(tmp_path / "c", experience.state_dict(), {})
    other.load_state_dict(load_tree(tmp_path / "c")[0])
    assert other.refresh(Towards(), Streams(SEEDS, "r"))["source/draws"].tolist() == [4, 4]


def test_a_checkpoint_without_the_sources_state_does_not_fit():
    with pytest.raises(KeyError, match="draws"):
        learning().load_state_dict(mixed().state_dict())


def test_a_recorded_value_reaches_batches_beside_real_rows_that_have_none():
    class Ones:
        def value(self, policy, batch, where, streams):
            return torch.ones(batch.reward.shape, dtype=torch.float64)

    data = random_transitions(50)
    source = ModelRollouts(Walk(), data, horizon=2, oracle=Ones())
    experience = MixedData(data, source, starts=8, retain=2, refresh_every=5, batch_size=64, real_ratio=0.5)
    experience.refresh(Towards(), Streams(SEEDS, "r"))
    batch = experience.sample(Streams(SEEDS, "s"))
    assert torch.equal(batch.next_value.isfinite(), batch.step == 2)
    assert (batch.step == 2).any()
