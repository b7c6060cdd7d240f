"""What every registered agent must do. A new one is tested by being listed in AGENTS."""

import pytest
import torch

from mbrl.agents import AGENTS
from mbrl.core.checkpoint import flatten, load_tree, save_tree, unflatten
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Transitions
from tests.fakes import Members, random_transitions
from tests.simulated import laws

NEEDS = {"mobile": {"model": Members()}}
"""What an agent cannot learn without."""
CASES = {name: (name, NEEDS.get(name, {})) for name in AGENTS} | {
    "sac with one critic": ("sac", {"num_critics": 1}),
    "edac": ("sac", {"num_critics": 4, "eta": 1.0}),
    "sac with a falling step size": ("sac", {"actor_lr_cosine": 8}),
    "sac with a fixed temperature": ("sac", {"auto_alpha": False, "alpha": 0.2}),
    "mobile as published": (
        "mobile",
        {**NEEDS["mobile"], "clamp_target": True, "alpha_max": 1.0, "backup_entropy": False},
    ),
    "combo on synthetic states": ("combo", {"states": "model", "repeats": 3, "temperature": 0.5}),
}


@pytest.fixture(params=CASES)
def make(request):
    """make(obs_dim, action_dim, seeds=..., ...): an agent of one registered kind, with small networks."""
    name, options = CASES[request.param]

    def build(obs_dim=3, action_dim=2, *, seeds=(0, 1), hidden=(16, 16), **more):
        return AGENTS[name](obs_dim, action_dim, seeds=seeds, hidden=hidden, **options, **more)

    return build


def batch_of(seeds: int, i: int, rows: int = 8, **dims: int) -> Transitions:
    """Three real rows, then synthetic ones of steps 1, 2, 3, .."""
    batch = random_transitions(seeds, rows, seed=i, **dims)
    batch.step.copy_((torch.arange(rows) - 2).clamp_min(0))
    dtype = torch.get_default_dtype()
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def learn(agent, seeds, updates, *, first=0, streams=None, **dims):
    """Some updates on fixed batches; the metrics of each."""
    streams = streams or Streams(seeds, "train")
    return [agent.update(batch_of(len(seeds), first + i, **dims), streams) for i in range(updates)]


def snapshot(agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in flatten(agent.state_dict()).items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_is_an_agent(make):
    assert isinstance(make(), Agent)


@pytest.mark.parametrize(("obs_dim", "action_dim"), [(1, 1), (3, 2), (17, 6)])
@pytest.mark.parametrize("seeds", [(5,), (0, 1, 2)])
def test_actions_have_their_shape_and_bounds_and_updates_run(make, obs_dim, action_dim, seeds):
    agent = make(obs_dim, action_dim, seeds=seeds)
    learn(agent, seeds, 1, obs_dim=obs_dim, action_dim=action_dim)
    obs = 100 * torch.randn(len(seeds), 7, obs_dim)
    for streams in (None, Streams(seeds, "act")):
        action = agent.act(obs, streams)
        assert action.shape == (len(seeds), 7, action_dim)
        assert action.dtype == torch.float32
        assert action.abs().max() <= 1
        assert not action.requires_grad


def test_without_streams_it_is_deterministic_and_a_row_does_not_depend_on_the_others(make):
    agent = make()
    obs = torch.randn(2, 5, 3)
    assert torch.equal(agent.act(obs), agent.act(obs))
    assert torch.allclose(agent.act(obs)[:, 2:3], agent.act(obs[:, 2:3]), atol=1e-6)


def test_an_update_changes_weights_but_not_its_batch(make):
    agent = make()
    before, batch = snapshot(agent), batch_of(2, 0)
    copy = batch.map(torch.clone)
    agent.update(batch, Streams((0, 1), "train"))
    after = snapshot(agent)
    networks = [name for name in before if name.endswith("weight")]
    assert networks
    assert all(not torch.equal(before[name], after[name]) for name in networks)
    for name, value in vars(copy).items():
        assert value is None or torch.equal(value, getattr(batch, name))


def test_metrics_are_finite_one_a_seed_and_the_same_names_every_time(make):
    agent = make()
    first, second = learn(agent, (0, 1), 2)
    assert list(first) == list(second)
    assert first
    for name, value in first.items():
        assert value.shape == (2,), name
        assert value.isfinite().all(), name
        assert not value.requires_grad, name
        assert "/" in name


def test_acting_changes_nothing(make):
    agent = make()
    learn(agent, (0, 1), 1)
    before = snapshot(agent)
    agent.act(torch.randn(2, 4, 3), Streams((0, 1), "act"))
    agent.act(torch.randn(2, 4, 3))
    assert equal(before, snapshot(agent))


def test_same_seed_same_bits_and_another_seed_differs(make):
    agents = [make(seeds=s) for s in ((0, 1), (0, 1), (0, 2))]
    logs = [learn(a, s, 4) for a, s in zip(agents, ((0, 1), (0, 1), (0, 2)), strict=True)]
    states = [snapshot(a) for a in agents]
    assert equal(states[0], states[1])
    for a, b in zip(logs[0], logs[1], strict=True):
        assert equal(a, b)
    name = next(n for n in states[0] if n.endswith("weight"))
    assert torch.equal(states[0][name][0], states[2][name][0])
    assert not torch.equal(states[0][name][1], states[2][name][1])
    assert not torch.equal(states[0][name][0], states[0][name][1])


@pytest.mark.usefixtures("double")
def test_a_stack_is_its_singles(make):
    seeds, updates = (4, 0, 7), 10
    stacked = make(seeds=seeds)
    logs = learn(stacked, seeds, updates)
    together = snapshot(stacked)
    obs = torch.randn(3, 5, 3)
    for s, seed in enumerate(seeds):
        alone, streams = make(seeds=(seed,)), Streams((seed,), "train")
        for i, log in enumerate(logs):
            batch = batch_of(3, i)[s : s + 1]
            for name, value in alone.update(batch, streams).items():
                assert value.item() == pytest.approx(log[name][s].item(), rel=1e-6, abs=1e-12), name
        for name, value in snapshot(alone).items():
            mine = together[name] if name.endswith("step") else together[name][s : s + 1]
            assert torch.allclose(value, mine, rtol=1e-6, atol=1e-12), name
        assert torch.allclose(alone.act(obs[s : s + 1]), stacked.act(obs)[s : s + 1], rtol=1e-6)


def test_a_stack_is_its_singles_in_single_precision_too(make):
    stacked, alone = make(seeds=(3, 9)), make(seeds=(9,))
    streams = Streams((9,), "train")
    for i, log in enumerate(learn(stacked, (3, 9), 5)):
        for name, value in alone.update(batch_of(2, i)[1:2], streams).items():
            assert value.item() == pytest.approx(log[name][1].item(), rel=1e-3, abs=1e-4), name


PER_MEMBER = {
    "sac": {
        "eta": (0.0, 1.0, 0.5),
        "alpha": (1.0, 0.2, 0.2),
        "actor_lr": (3e-4, 1e-3, 3e-4),
        "critic_lr": (1e-3, 3e-4, 3e-4),
        "alpha_lr": (3e-4, 3e-4, 1e-3),
        "target_entropy": (-2.0, 0.0, 0.5),
    },
    "mobile": {"beta": (0.0, 1.0, 2.5)},
    "combo": {"cql_weight": (0.0, 1.0, 5.0)},
}
"""Hyper-parameters that may differ between members of a stack, and different values for three."""


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("name", "key"), [(a, k) for a, keys in PER_MEMBER.items() for k in keys])
def test_members_with_values_of_their_own_are_singles_with_those_values(name, key):
    values, seeds = PER_MEMBER[name][key], (4, 0, 4)  # one seed twice: what differs is the value alone
    options = {"hidden": (16, 16), "num_critics": 3, **NEEDS.get(name, {})}
    stacked = AGENTS[name](3, 2, seeds=seeds, **options, **{key: values})
    logs = learn(stacked, seeds, 5)
    together = snapshot(stacked)
    assert not torch.allclose(
        together["actor/net.layers.0.weight"][0], together["actor/net.layers.0.weight"][2]
    )
    for s, (seed, value) in enumerate(zip(seeds, values, strict=True)):
        alone, streams = (
            AGENTS[name](3, 2, seeds=(seed,), **options, **{key: value}),
            Streams((seed,), "train"),
        )
        for i, log in enumerate(logs):
            for metric, found in alone.update(batch_of(3, i)[s : s + 1], streams).items():
                assert found.item() == pytest.approx(log[metric][s].item(), rel=1e-6, abs=1e-12), metric
        for part, found in snapshot(alone).items():
            mine = together[part] if part.endswith("step") else together[part][s : s + 1]
            assert torch.allclose(found, mine, rtol=1e-6, atol=1e-12), part


@pytest.mark.parametrize(("name", "key"), [(a, k) for a, keys in PER_MEMBER.items() for k in keys])
def test_as_many_values_as_members(name, key):
    with pytest.raises(
        ConfigError, match=f"{'lr' if key.endswith('_lr') else key}: 2 values for a stack of 3"
    ):
        AGENTS[name](3, 2, seeds=(0, 1, 2), num_critics=3, **{key: PER_MEMBER[name][key][:2]})


@pytest.mark.parametrize("before", [0, 3])
def test_saved_and_loaded_it_behaves_and_learns_on_bit_for_bit(make, tmp_path, before):
    agent, streams = make(), Streams((0, 1), "train")
    learn(agent, (0, 1), before, streams=streams)
    save_tree(tmp_path / "c", {"agent": agent.state_dict(), "streams": streams.state_dict()}, {})
    tree, _ = load_tree(tmp_path / "c")

    other, restored = make(), Streams((0, 1), "something else")
    learn(other, (0, 1), 2, first=50)  # whatever it did before must not show
    other.load_state_dict(tree["agent"])
    restored.load_state_dict(tree["streams"])
    assert equal(snapshot(agent), snapshot(other))
    obs = torch.randn(2, 6, 3)
    assert torch.equal(agent.act(obs), other.act(obs))

    logs = [learn(a, (0, 1), 4, first=10, streams=s) for a, s in ((agent, streams), (other, restored))]
    for a, b in zip(*logs, strict=True):
        assert equal(a, b)
    assert equal(snapshot(agent), snapshot(other))


def test_loading_shares_nothing_with_the_state_it_was_given(make):
    agent, other = make(), make()
    learn(agent, (0, 1), 2)
    other.load_state_dict(agent.state_dict())
    before = snapshot(agent)
    learn(other, (0, 1), 2, first=5)
    assert equal(before, snapshot(agent))


def test_loading_is_in_place(make):
    agent = make()
    addresses = {k: v.data_ptr() for k, v in flatten(agent.state_dict()).items() if "optimiser" not in k}
    learn(agent, (0, 1), 1)
    agent.load_state_dict(unflatten(snapshot(agent)))
    after = flatten(agent.state_dict())
    assert all(after[k].data_ptr() == address for k, address in addresses.items())


def test_the_state_of_other_dimensions_is_refused(make):
    with pytest.raises(RuntimeError, match="size mismatch"):
        make(4, 2).load_state_dict(make(3, 2).state_dict())


@pytest.mark.usefixtures("cuda")
def test_it_lives_on_the_device_it_is_given(make):
    cpu, cuda = make(), make(device="cuda")
    obs = torch.randn(2, 5, 3)
    assert torch.allclose(cpu.act(obs), cuda.act(obs.cuda()).cpu(), atol=1e-5)
    metrics = cuda.update(batch_of(2, 0).to("cuda"), Streams((0, 1), "train", "cuda"))
    assert all(value.is_cuda for value in metrics.values())
    cpu.load_state_dict(unflatten({k: v.cpu() for k, v in snapshot(cuda).items()}))
    assert torch.allclose(cpu.act(obs), cuda.act(obs.cuda()).cpu(), atol=1e-5)
    cuda.load_state_dict(cpu.state_dict())
    cuda.update(batch_of(2, 1).to("cuda"), Streams((0, 1), "train", "cuda"))


def test_an_update_never_waits_for_the_device(make, cuda):
    laws.updates_never_wait(cuda, make, batch_of(2, 0))


@pytest.mark.usefixtures("cuda")
def test_a_graph_leaves_the_bits_of_eager_updates(make):
    table = batch_of(1, 0, rows=64)
    table.step.copy_(torch.arange(64) % 2)  # combo wants real rows and synthetic ones in every batch
    laws.graphs_leave_the_bits_of_eager_steps(make, table[0])
