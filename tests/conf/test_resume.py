"""A run goes on only with the settings it began with."""

import pytest

from mbrl.conf import compose
from mbrl.conf.resume import check_resume
from mbrl.core.errors import MismatchError


def test_length_looks_and_places_may_change():
    changes = ["train.updates=99", "train.log_every=7", "device=cpu", "dynamics.cache=elsewhere"]
    check_resume(compose(["preset=debug", *changes]), compose(["preset=debug"]))


@pytest.mark.parametrize(
    ("parts", "cache"),
    [
        (["dynamics=interpolated"], "dynamics.ensemble.cache"),
        (["source=coda", "agent=sac"], "source.diffusion.cache"),
    ],
)
def test_so_may_the_places_where_parts_keep_their_models(parts, cache):
    check_resume(compose([*parts, f"{cache}=elsewhere"]), compose(parts))


@pytest.mark.parametrize(
    "override",
    [
        "agent.gamma=0.9",
        "train.batch_size=8",
        "train.real_ratio=0.5",
        "source=none",
        "agent=sac",
        "seeds=[3]",
    ],
)
def test_what_is_learned_may_not(override):
    with pytest.raises(MismatchError, match="cannot be resumed with other settings: .*, was "):
        check_resume(compose(["preset=debug", override]), compose(["preset=debug"]))
