"""Options of the true and the interpolated dynamics."""

import pytest

from mbrl.conf import compose
from mbrl.conf.resume import check_resume
from mbrl.conf.schema import EnsembleConf, InterpolatedConf, TrueDynamicsConf
from mbrl.core.errors import ConfigError, MismatchError


def test_defaults():
    assert compose(["dynamics=mujoco"]).dynamics == TrueDynamicsConf(threads=None)
    assert compose(["dynamics=interpolated"]).dynamics == InterpolatedConf(
        weight=0.5, ensemble=EnsembleConf()
    )


@pytest.mark.parametrize("preset", ["debug", "quickstart", "cpu"])
def test_a_preset_changes_the_learned_model_inside_as_it_does_alone(preset):
    alone, inside = (
        compose([f"preset={preset}", f"dynamics={name}"]) for name in ("ensemble", "interpolated")
    )
    assert inside.dynamics.ensemble == alone.dynamics
    assert alone.dynamics != EnsembleConf()


def test_the_learned_models_options_lie_inside():
    conf = compose(["dynamics=interpolated", "dynamics.weight=-1", "dynamics.ensemble.max_epochs=7"]).dynamics
    assert (conf.weight, conf.ensemble.max_epochs) == (-1.0, 7)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dynamics=mujoco", "dynamics.threads=0"], r"dynamics.threads must be at least 1, got 0"),
        (["dynamics=interpolated", "dynamics.threads=0"], r"dynamics.threads must be at least 1, got 0"),
        (["dynamics=interpolated", "dynamics.weight=1.5"], r"dynamics.weight must be in \[-1, 1\], got 1.5"),
        (["dynamics=interpolated", "dynamics.weight=nan"], r"dynamics.weight must be in \[-1, 1\], got nan"),
        (["dynamics=interpolated", "dynamics.ensemble.lr=0"], r"dynamics.ensemble.lr must be more than 0"),
        (
            ["dynamics=interpolated", "dynamics.ensemble.elites=9"],
            r"dynamics.ensemble.elites must be at most dynamics.ensemble.members=7, got 9",
        ),
        (
            ["dynamics=interpolated", "dynamics.ensemble.activation=sine"],
            "dynamics.ensemble.activation 'sine'",
        ),
        (["dynamics=interpolated", "dynamics.members=3"], r"dynamics.members.*dynamics\.ensemble"),
        (["dynamics=interpolated", "dynamics.ensemble.membrs=3"], "did you mean 'dynamics.ensemble.members'"),
        (["dynamics=mujoco", "dynamics.members=3"], "dynamics.members"),
        (["dynamics=mujocco"], "mujocco.*mujoco"),
        (["dynamics=interpolated", "source=rambo"], "rambo trains the model.*interpolated.*choose ensemble"),
        (["dynamics=mujoco", "source=rambo"], "rambo trains the model.*mujoco.*choose ensemble"),
    ],
)
def test_what_cannot_be(overrides, message):
    with pytest.raises(ConfigError, match=message):
        compose(overrides)


def test_a_run_goes_on_with_other_threads_and_caches_but_not_at_another_weight():
    base = ["preset=debug", "dynamics=interpolated"]
    elsewhere = ["dynamics.threads=7", "dynamics.ensemble.cache=elsewhere"]
    check_resume(compose([*base, *elsewhere]), compose(base))
    with pytest.raises(MismatchError, match="dynamics.weight: 0.1, was 0.5"):
        check_resume(compose([*base, "dynamics.weight=0.1"]), compose(base))
    check_resume(*(compose(["dynamics=mujoco", f"dynamics.threads={n}"]) for n in (1, 2)))
