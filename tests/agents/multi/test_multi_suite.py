"""What every learner for several agents must do. A new one is tested by being listed in MULTI_AGENTS."""

import pytest
import torch

from mbrl.agents.multi import MULTI_AGENTS
from mbrl.core.checkpoint import flatten, load_tree, save_tree, unflatten
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Guide, Transitions
from mbrl.run.probe import HasValues
from tests.fakes import joint_transitions
from tests.simulated import laws

LAYOUT = Layout((3, 4, 3), (1, 2, 1))
TWINS = Layout((3, 3), (2, 2))
ONE = Layout((3,), (2,))
CASES = {name: (name, {}) for name in MULTI_AGENTS} | {
    "matd3, others by their policies": (
        "matd3_bc",
        {"bc_weight": 0.0, "policy_delay": 1, "num_critics": 1, "others": "policies"},
    ),
    "independent matd3_bc, every third update": ("matd3_bc", {"policy_delay": 3, "critic": "independent"}),
    "maddpg_cql, others by their policies": ("maddpg_cql", {"repeats": 1, "others": "policies"}),
    "central omar as in its paper": (
        "omar",
        {"sampler": "softmax", "samples": 10, "critic": "central", "others": "policies"},
    ),
    "ravl": ("masac", {"num_critics": 4, "eta": 1.0}),
    "independent ravl": ("masac", {"num_critics": 3, "eta": 1.0, "critic": "independent"}),
    "masac with a fixed temperature": (
        "masac",
        {"auto_alpha": False, "alpha": 0.2, "backup_entropy": False, "others": "policies"},
    ),
}


@pytest.fixture(params=CASES)
def make(request):
    """make(layout, seeds=..., ...): an agent of one registered kind, with small networks."""
    name, options = CASES[request.param]

    def build(layout=LAYOUT, *, seeds=(0, 1), hidden=(16, 16), **more):
        return MULTI_AGENTS[name](layout, seeds=seeds, hidden=hidden, **options, **more)

    return build


def batch_of(layout: Layout, seeds: int, i: int, rows: int = 8) -> Transitions:
    dtype = torch.get_default_dtype()
    batch = joint_transitions(layout, seeds, rows, seed=i)
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def learn(agent, seeds, updates, *, first=0, streams=None):
    """Some updates on fixed batches; the metrics of each."""
    streams = streams or Streams(seeds, "train")
    return [agent.update(batch_of(agent.layout, len(seeds), first + i), streams) for i in range(updates)]


def snapshot(agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in flatten(agent.state_dict()).items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def shared(name: str) -> bool:
    """Entries that are the stack's rather than a member's."""
    return name.endswith("step") or name == "updates"


def test_it_is_an_agent_and_either_deterministic_or_a_guide(make):
    agent = make()
    assert isinstance(agent, Agent)
    assert isinstance(agent, Guide) != getattr(agent, "deterministic", False)


@pytest.mark.parametrize("layout", [ONE, TWINS, LAYOUT], ids=["one", "twins", "ragged"])
@pytest.mark.parametrize("seeds", [(5,), (0, 1, 2)])
def test_actions_have_their_shape_bounds_and_padding(make, layout, seeds):
    agent = make(layout, seeds=seeds)
    learn(agent, seeds, 2)
    obs = 100 * torch.randn(len(seeds), 7, layout.agents, layout.obs_dim)
    for streams in (None, Streams(seeds, "act")):
        action = agent.act(obs, streams)
        assert action.shape == (len(seeds), 7, layout.agents, layout.action_dim)
        assert action.dtype == torch.float32
        assert action.abs().max() <= 1
        assert not action.requires_grad
        assert (action[..., ~layout.action_mask()] == 0).all()
        assert (action[..., layout.action_mask()] != 0).all()


def test_without_streams_it_is_deterministic_and_a_row_does_not_depend_on_the_others(make):
    agent = make()
    obs = torch.randn(2, 5, 3, 4)
    assert torch.equal(agent.act(obs), agent.act(obs))
    assert torch.allclose(agent.act(obs)[:, 2:3], agent.act(obs[:, 2:3]), atol=1e-6)


def test_an_agent_acts_on_its_own_observation_alone(make):
    agent = make()
    learn(agent, (0, 1), 3)
    obs = torch.randn(2, 5, 3, 4)
    other = obs.clone()
    other[:, :, 1] += 1.0
    before, after = agent.act(obs), agent.act(other)
    assert torch.equal(before[:, :, [0, 2]], after[:, :, [0, 2]])
    assert not torch.equal(before[:, :, 1], after[:, :, 1])


def test_what_the_padding_holds_never_shows(make):
    clean, dirty = make(), make()
    streams = Streams((0, 1), "train"), Streams((0, 1), "train")
    no_obs, no_action = ~LAYOUT.obs_mask(), ~LAYOUT.action_mask()
    for i in range(4):
        batch = batch_of(LAYOUT, 2, i)
        soiled = batch.map(torch.clone)
        soiled.obs[..., no_obs], soiled.next_obs[..., no_obs] = torch.nan, 1e6
        soiled.action[..., no_action] = -7.0
        assert equal(clean.update(batch, streams[0]), dirty.update(soiled, streams[1]))
    assert equal(snapshot(clean), snapshot(dirty))
    assert torch.equal(clean.act(batch.obs), dirty.act(soiled.obs))
    if isinstance(clean, HasValues):
        assert torch.equal(clean.q_values(batch.obs, batch.action), dirty.q_values(soiled.obs, soiled.action))
    if isinstance(clean, Guide):
        assert torch.equal(clean.log_prob(batch.obs, batch.action), dirty.log_prob(soiled.obs, soiled.action))


def test_an_update_changes_weights_but_not_its_batch(make):
    agent = make()
    before, batch = snapshot(agent), batch_of(LAYOUT, 2, 0)
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
    logs = learn(agent, (0, 1), 4)
    assert len({tuple(log) for log in logs}) == 1
    for name, value in (item for log in logs for item in log.items()):
        assert value.shape == (2,), name
        assert value.isfinite().all(), name
        assert not value.requires_grad, name
        assert "/" in name


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
    seeds, updates = (4, 0, 7), 5
    stacked = make(seeds=seeds)
    logs = learn(stacked, seeds, updates)
    together = snapshot(stacked)
    obs = torch.randn(3, 5, 3, 4)
    for s, seed in enumerate(seeds):
        alone, streams = make(seeds=(seed,)), Streams((seed,), "train")
        for i, log in enumerate(logs):
            batch = batch_of(LAYOUT, 3, i)[s : s + 1]
            for name, value in alone.update(batch, streams).items():
                assert value.item() == pytest.approx(log[name][s].item(), rel=1e-6, abs=1e-12), name
        for name, value in snapshot(alone).items():
            mine = together[name] if shared(name) else together[name][s : s + 1]
            assert torch.allclose(value, mine, rtol=1e-6, atol=1e-12), name
        assert torch.allclose(alone.act(obs[s : s + 1]), stacked.act(obs)[s : s + 1], rtol=1e-6)


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
    obs = torch.randn(2, 6, 3, 4)
    assert torch.equal(agent.act(obs), other.act(obs))
    logs = [learn(a, (0, 1), 4, first=10, streams=s) for a, s in ((agent, streams), (other, restored))]
    for a, b in zip(*logs, strict=True):
        assert equal(a, b)
    assert equal(snapshot(agent), snapshot(other))


def test_loading_is_in_place_and_shares_nothing_with_what_it_was_given(make):
    agent, other = make(), make()
    learn(agent, (0, 1), 2)
    learn(other, (0, 1), 1, first=7)
    weights = [k for k in snapshot(other) if k.endswith(("weight", "bias", "log_alpha"))]
    addresses = {k: flatten(other.state_dict())[k].data_ptr() for k in weights}
    other.load_state_dict(agent.state_dict())
    after = flatten(other.state_dict())
    assert all(after[k].data_ptr() == address for k, address in addresses.items())
    before = snapshot(agent)
    learn(other, (0, 1), 2, first=5)
    assert equal(before, snapshot(agent))


def test_policies_begin_where_they_are_told_to_and_learn_from_there(make):
    start = [[0.5, 0.0], [-0.9, 0.3], [0.0, 0.0]]
    agent = make(start=start)
    expected = torch.tensor(start).expand(2, 6, 3, 2)
    obs = 10 * torch.randn(2, 6, 3, 4)
    assert torch.allclose(agent.act(obs), expected, atol=1e-6)
    learn(agent, (0, 1), 3)
    assert not torch.allclose(agent.act(obs)[..., :1], expected[..., :1], atol=1e-6)
    per_seed = torch.stack([expected[0, 0], -expected[0, 0]])
    assert torch.allclose(make(start=per_seed.tolist()).act(obs)[:, 0], per_seed, atol=1e-6)


@pytest.mark.parametrize(
    "start", [[[0.0], [0.0]], [[1.0, 0.0]] * 3, [[float("nan"), 0.0]] * 3, [[0.0], 1], "mid"]
)
def test_an_impossible_start_is_refused(make, start):
    with pytest.raises(ConfigError, match="start"):
        make(start=start)


def test_rows_of_another_layout_are_refused(make):
    agent, streams = make(), Streams((0, 1), "train")
    for layout in (Layout((3, 4), (1, 2)), Layout((3, 5, 3), (1, 2, 1)), Layout((3, 4, 3), (1, 1, 1))):
        with pytest.raises(MismatchError, match=r"3 agents with \w+ sizes"):
            agent.update(batch_of(layout, 2, 0), streams)
    with pytest.raises(MismatchError, match="obs ends in"):
        agent.act(torch.zeros(2, 5, 4))


def test_the_state_of_other_dimensions_is_refused(make):
    with pytest.raises(RuntimeError, match="size mismatch"):
        make(LAYOUT).load_state_dict(make(TWINS).state_dict())


@pytest.mark.usefixtures("cuda")
def test_it_lives_on_the_device_it_is_given(make):
    cpu, cuda = make(), make(device="cuda")
    obs = torch.randn(2, 5, 3, 4)
    assert torch.allclose(cpu.act(obs), cuda.act(obs.cuda()).cpu(), atol=1e-5)
    metrics = cuda.update(batch_of(LAYOUT, 2, 0).to("cuda"), Streams((0, 1), "train", "cuda"))
    assert all(value.is_cuda for value in metrics.values())
    cpu.load_state_dict(unflatten({k: v.cpu() for k, v in snapshot(cuda).items()}))
    assert torch.allclose(cpu.act(obs), cuda.act(obs.cuda()).cpu(), atol=1e-5)
    cuda.load_state_dict(cpu.state_dict())
    cuda.update(batch_of(LAYOUT, 2, 1).to("cuda"), Streams((0, 1), "train", "cuda"))


def test_an_update_never_waits_for_the_device(make, cuda):
    laws.updates_never_wait(cuda, make, batch_of(LAYOUT, 2, 0))


@pytest.mark.usefixtures("cuda")
def test_a_graph_leaves_the_bits_of_eager_updates(make):
    laws.graphs_leave_the_bits_of_eager_steps(make, batch_of(LAYOUT, 1, 0, rows=64)[0])


PER_MEMBER = {
    "matd3_bc": {"alpha": (2.5, 0.5, 1.0), "bc_weight": (0.0, 1.0, 3.0), "actor_lr": (1e-3, 3e-4, 3e-4)},
    "maddpg_cql": {"cql_weight": (0.0, 1.0, 5.0), "critic_lr": (1e-3, 3e-4, 3e-4)},
    "omar": {"coefficient": (0.0, 0.5, 1.0)},
    "masac": {
        "eta": (0.0, 1.0, 0.5),
        "alpha": (1.0, 0.2, 0.2),
        "alpha_lr": (3e-4, 3e-4, 1e-3),
        "target_entropy": (-2.0, 0.0, 0.5),
    },
    "joint_bc": {"lr": (3e-4, 1e-3, 3e-4)},
}
"""Hyper-parameters that may differ between members of a stack, and different values for three."""


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("name", "key"), [(a, k) for a, keys in PER_MEMBER.items() for k in keys])
def test_members_with_values_of_their_own_are_singles_with_those_values(name, key):
    values, seeds = PER_MEMBER[name][key], (4, 0, 4)  # one seed twice: what differs is the value alone
    make = MULTI_AGENTS[name]
    stacked = make(LAYOUT, seeds=seeds, hidden=(16, 16), **{key: values})
    logs = learn(stacked, seeds, 3)
    together = snapshot(stacked)
    weights = [value for part, value in together.items() if part.endswith("weight")]
    assert any(not torch.allclose(weight[0], weight[2]) for weight in weights)
    for s, (seed, value) in enumerate(zip(seeds, values, strict=True)):
        alone, streams = (
            make(LAYOUT, seeds=(seed,), hidden=(16, 16), **{key: value}),
            Streams((seed,), "train"),
        )
        for i, log in enumerate(logs):
            for metric, found in alone.update(batch_of(LAYOUT, 3, i)[s : s + 1], streams).items():
                assert found.item() == pytest.approx(log[metric][s].item(), rel=1e-6, abs=1e-12), metric
        for part, found in snapshot(alone).items():
            mine = together[part] if shared(part) else together[part][s : s + 1]
            assert torch.allclose(found, mine, rtol=1e-6, atol=1e-12), part


VALUED = [name for name in MULTI_AGENTS if name != "joint_bc"]


@pytest.mark.parametrize("name", VALUED)
def test_values_keep_the_mean_and_the_agents_least_ones(name):
    agent = MULTI_AGENTS[name](LAYOUT, seeds=(0, 1), hidden=(16,), num_critics=3)
    batch = batch_of(LAYOUT, 2, 0)
    values, q = agent.q_values(batch.obs, batch.action), agent.critics(batch.obs, batch.action.unsqueeze(1))
    assert values.shape == (2, 3, 8)
    assert torch.allclose(values.mean(1), q.mean((1, 2)), atol=1e-7)
    assert torch.allclose(values.amin(1), q.amin(2).mean(1), atol=1e-7)
    assert torch.equal(agent.values(batch.obs), agent.q_values(batch.obs, agent.act(batch.obs)))
