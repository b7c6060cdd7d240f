"""Policies as guides: what they must offer, and how a deterministic one gets a density."""

from typing import Any

from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.maths import gaussian_log_prob
from mbrl.core.seeds import Streams
from mbrl.core.types import Guide, Policy


class Widened:
    """A deterministic policy as a Gaussian of std `width` around its action (a core.types.Guide).

    Raises ConfigError for a width that is not above 0.
    """

    def __init__(self, policy: Policy, width: float) -> None:
        if not width > 0:
            raise ConfigError(f"width={width}: a Gaussian around an action needs a width above 0")
        self.policy, self.width = policy, width

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """The policy's own action."""
        return self.policy.act(obs, streams)

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """The deterministic action, and `width`, each shaped as the action."""
        action = self.policy.act(obs)
        return action, action.new_full(action.shape, self.width)

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """Log-density of the Gaussian, summed over an action's entries; the bounds cut nothing off."""
        mean, std = self.gaussian(obs)
        return gaussian_log_prob(action, mean, std.log()).sum(-1)


def as_guide(policy: Any, width: float | None) -> Guide:
    """The policy itself where it has a density, else the deterministic policy widened by `width`.

    Raises ConfigError for a policy that has neither log_prob and gaussian nor a width to take.
    """
    if isinstance(policy, Guide):
        return policy
    name = type(policy).__name__
    if not getattr(policy, "deterministic", False):
        raise ConfigError(
            f"guidance: {name} is a policy without log_prob and gaussian (core.types.Guide); give it both, or, if "
            "its action is a function of the observation, the class attribute deterministic = True"
        )
    if width is None:
        raise ConfigError(
            f"guidance: {name} is deterministic, a policy without log_prob; give `width`, the deviation of "
            "the Gaussian it is taken for (0.1, say)"
        )
    return Widened(policy, width)
