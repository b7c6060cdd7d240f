"""What is reported of a penalty, by hand and in rollouts; being watched changes nothing."""

import pytest
import torch

from mbrl.core.seeds import Streams
from mbrl.core.types import Reporting
from mbrl.run.experience import MixedData
from mbrl.run.penalty_meter import PenaltyMeter
from mbrl.run.rollout import rollout
from mbrl.run.sources import ModelRollouts
from tests.fakes import Towards, Walk, random_transitions

SEEDS = (0, 1)


def steep(reward, terminal, prediction):
    """Takes 1 off rewards above -4 and ends those below, which then pay -50."""
    low = reward < -4
    return torch.where(low, -50.0, reward - 1), terminal | low


def test_by_hand():
    meter = PenaltyMeter(steep)
    ends = torch.tensor([[False, False, True]])
    first = meter(torch.tensor([[0.0, -10.0, -10.0]]), ends, None)
    assert first[0].tolist() == [[-1.0, -50.0, -50.0]]
    assert first[1].tolist() == [[False, True, True]]
    meter(torch.tensor([[-3.0, float("nan"), 7.0]]), torch.zeros_like(ends), None)
    # The first rollout goes on; the second was ended by the penalty, the third by the model.
    found = meter.metrics(torch.tensor([[True, True, True, True, False, False]]))
    assert found["source/penalty_mean"].tolist() == [(1 + 40 + 40 + 1) / 4]
    assert found["source/penalty_max"].tolist() == [40.0]
    assert found["source/penalty_ended"].tolist() == [1 / 4]


def test_a_penalty_that_pays_is_reported_as_it_is():
    meter = PenaltyMeter(lambda reward, terminal, prediction: (reward + 2, terminal))
    meter(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool), None)
    found = meter.metrics(torch.tensor([[True, False]]))
    assert [v.tolist() for v in found.values()] == [[-2.0], [-2.0], [0.0]]


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_source_reports_on_the_rows_it_gives(drop_last):
    data = random_transitions(40)
    source = ModelRollouts(Walk(), data, horizon=3, penalty=steep, drop_last=drop_last)
    rows, alive = source.draw(Towards(), 30, Streams(SEEDS, "s"))
    streams = Streams(SEEDS, "s")
    begin = data[streams.randint(len(data), 30)]
    plain, _ = rollout(Walk(), Towards(), begin, 3, streams, lambda r, t, p: (r, t | (r < -4)))
    taken = plain.reward - rows.reward
    assert isinstance(source, Reporting)
    for s in range(2):
        living, ended = taken[s][alive[s]], (rows.reward == -50)[s][alive[s]]
        found = {k: v[s].item() for k, v in source.metrics().items()}
        assert found["source/penalty_mean"] == pytest.approx(living.mean().item(), rel=1e-5)
        assert found["source/penalty_max"] == living.max().item()
        assert found["source/penalty_ended"] == pytest.approx(ended.float().mean().item())
    assert (rows.step[alive] < 3).all() == drop_last


def test_without_a_penalty_there_is_nothing_to_report():
    source = ModelRollouts(Walk(), random_transitions(40), horizon=2)
    source.draw(Towards(), 5, Streams(SEEDS, "s"))
    assert source.metrics() == {}


def test_being_watched_changes_nothing():
    begin = random_transitions(2, 9)
    found = [
        rollout(Walk(noise=0.2), Towards(), begin, 3, Streams(SEEDS, "r"), penalty)
        for penalty in (steep, PenaltyMeter(steep))
    ]
    (rows, alive), (watched, alive_too) = found
    assert torch.equal(alive, alive_too)
    assert all(v is None or torch.equal(v, getattr(watched, k)) for k, v in vars(rows).items())


def test_a_refresh_carries_the_report():
    data = random_transitions(40)
    source = ModelRollouts(Walk(), data, horizon=2, penalty=steep)
    metrics = MixedData(data, source, starts=8, retain=1).refresh(Towards(), Streams(SEEDS, "r"))
    assert {"source/penalty_mean", "source/penalty_max", "source/penalty_ended"} < set(metrics)
    assert all(v.shape == (2,) and v.isfinite().all() for v in metrics.values())
