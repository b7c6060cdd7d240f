"""What critics see, and joint actions in which one agent acts for itself, against loops."""

import torch

from mbrl.agents.multi.views import OTHERS, among, central, independent, own_values

S, B, N, OBS, A = 2, 5, 3, 4, 2


def tensors():
    g = torch.Generator().manual_seed(0)
    return torch.randn(S, B, N, OBS, generator=g), torch.randn(S, B, N, A, generator=g)


def test_a_central_critic_sees_everybody_in_order():
    obs, action = tensors()
    seen = central(obs, action.unsqueeze(1))
    assert seen.shape == (S, 1, B, N * (OBS + A))
    for s in range(S):
        for b in range(B):
            parts = [obs[s, b, i] for i in range(N)] + [action[s, b, i] for i in range(N)]
            assert torch.equal(seen[s, 0, b], torch.cat(parts))


def test_an_independent_critic_sees_its_own_agent_of_its_own_joint_action():
    obs, action = tensors()
    for joint, index in ((action.unsqueeze(1), lambda i: 0), (torch.randn(S, N, B, N, A), lambda i: i)):
        seen = independent(obs, joint)
        assert seen.shape == (S, N, B, OBS + A)
        for i in range(N):
            assert torch.equal(seen[:, i], torch.cat([obs[:, :, i], joint[:, index(i), :, i]], -1))


def test_one_agent_at_a_time_acts_for_itself():
    own, data = tensors()[1], torch.full((S, B, N, A), 9.0)
    joint = among(own, data)
    assert joint.shape == (S, N, B, N, A)
    for i in range(N):
        for j in range(N):
            assert torch.equal(joint[:, i, :, j], own[:, :, j] if i == j else data[:, :, j])


def test_others_act_as_recorded_or_as_they_do_now_and_neither_takes_a_gradient():
    own, data = tensors()[1].requires_grad_(), torch.full((S, B, N, A), 9.0)
    assert torch.equal(OTHERS["data"](own, data), data)
    assert torch.equal(OTHERS["policies"](own, data), own)
    weights = torch.randn(S, N, B, N, A)
    for others in OTHERS.values():
        gradient = torch.autograd.grad((among(own, others(own, data)) * weights).sum(), own)[0]
        for i in range(N):  # of the i-th joint action alone, though the action also stands in the others'
            assert torch.equal(gradient[:, :, i], weights[:, i, :, i])


def test_values_of_own_actions_are_those_of_the_joint_actions_one_by_one():
    obs, data = tensors()
    own = torch.randn(S, 7, B, N, A)

    def value(obs, action):  # [S, N, B], and as two critics
        q = (
            torch.arange(1, N + 1).view(N, 1) * (action.sum((-1, -2)) + obs.sum((-1, -2)).unsqueeze(1))
        ).sin()
        return torch.stack([q, 2 * q], dim=2)

    found = own_values(value, obs, own, data)
    assert found.shape == (S, N, 2, 7, B)
    for r in range(7):
        for i in range(N):
            joint = data.clone()
            joint[:, :, i] = own[:, r, :, i]
            alone = value(obs, joint.unsqueeze(1).expand(-1, N, -1, -1, -1))[:, i]
            assert torch.allclose(found[:, i, :, r], alone, atol=1e-5)
