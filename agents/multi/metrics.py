"""What updates report, [S] each: means over agents, as a run's log has one line a seed."""

from torch import Tensor

Info = dict[str, Tensor]


def critic_metrics(loss: Tensor, q: Tensor, target: Tensor) -> Info:
    """Of loss [S, N], q [S, N, K, B] and target [S, N or 1, B]; q_max is the largest of any agent's."""
    q = q.detach()
    return {
        "critic/loss": loss.detach().mean(dim=-1),
        "critic/q_mean": q.mean(dim=(-1, -2, -3)),
        "critic/q_max": q.amax(dim=(-1, -2, -3)),
        "critic/q_std": q.std(dim=-2, correction=0).mean(dim=(-1, -2)),
        "critic/target_mean": target.mean(dim=(-1, -2)),
    }


def ordered_mean(q: Tensor) -> Tensor:
    """The k-th smallest of an agent's K values, mean over agents: [S, K, B] of q [S, N, K, B].

    All agents' critics estimate the one team's return. Their mean over k is that of all; their least is the mean of
    the agents' minima, which is what targets bootstrap from. (The mean over agents of their k-th critics, which
    have nothing in common but k, would hide how far an agent's critics disagree.)
    """
    return q.sort(dim=-2).values.mean(dim=1)
