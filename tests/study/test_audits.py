"""What is read off a reach audit, and when it is made again."""

import json

import pytest

from mbrl.conf.studies import AuditConf
from mbrl.core.errors import DataError
from mbrl.study import audits
from mbrl.study.audits import audited, correlation_values, error_values

FIGURE = {"mean": [[1.0, 2.0]], "error": [[0.1, 0.1]], "count": [[5, 5]]}


def figure(value):
    return {**FIGURE, "mean": [[value, value]]}


AUDIT = {
    "correlation": {
        "max_aleatoric": {"pearson": [0.5], "pearson_variance": [0.4], "spearman": [0.3], "reason": [""]},
        "ensemble_std": {
            "pearson": [None],
            "pearson_variance": [None],
            "spearman": [None],
            "reason": ["constant"],
        },
    },
    "one_step": {
        "reward": figure(1.0),
        "reward_bias": figure(2.0),
        "next_obs": figure(3.0),
        "left_out": [[0, 7]],
    },
    "paired": {"model": figure(4.0), "true": figure(5.0), "difference": figure(6.0)},
    "bias": {"overestimate": {"min_soft": figure(8.0)}, "value": {"soft": figure(9.0)}},
    "missing": {},
}


def test_correlations_by_measure():
    assert correlation_values(AUDIT) == {
        "pearson_max_aleatoric": [0.5],
        "pearson_ensemble_std": [None],
        "pearson_variance_max_aleatoric": [0.4],
        "pearson_variance_ensemble_std": [None],
        "spearman_max_aleatoric": [0.3],
        "spearman_ensemble_std": [None],
        "measures": ["max_aleatoric", "ensemble_std"],
        "no_correlation": {"max_aleatoric": [""], "ensemble_std": ["constant"]},
    }


def test_errors_by_step():
    assert error_values(AUDIT) == {
        "reward_error": [[1.0, 1.0]],
        "reward_bias": [[2.0, 2.0]],
        "obs_error": [[3.0, 3.0]],
        "reward_model": [[4.0, 4.0]],
        "reward_true": [[5.0, 5.0]],
        "paired_error": [[6.0, 6.0]],
        "left_out": [[0, 7]],
        "overestimate": [[8.0, 8.0]],
        "true_value": [[9.0, 9.0]],
    }


@pytest.mark.parametrize("read", [correlation_values, error_values])
def test_what_could_not_be_measured_is_an_error_with_its_reason(read):
    audit = {**AUDIT, "correlation": None, "paired": None, "missing": dict.fromkeys(AUDIT, "no simulator")}
    with pytest.raises(DataError, match="the audit has no (correlation|paired): no simulator"):
        read(audit)


def test_an_audit_is_made_once_for_an_end_and_a_size(tmp_path, monkeypatch):
    made = []

    def audit_run(folder, *, starts, mc_horizon, device, fit, progress):
        made.append((starts, mc_horizon, device))
        update = json.loads((folder / "result.json").read_text())["updates"]
        (folder / "diagnose").mkdir(exist_ok=True)
        about = {"update": update, "starts": starts, "mc_horizon": mc_horizon, "run": str(folder)}
        (folder / "diagnose/audit.json").write_text(json.dumps({"about": about}))

    monkeypatch.setattr(audits, "audit_run", audit_run)
    for updates, conf in [
        (4, AuditConf(5, 6)),
        (4, AuditConf(5, 6)),
        (8, AuditConf(5, 6)),
        (8, AuditConf(9, 6)),
    ]:
        (tmp_path / "result.json").write_text(json.dumps({"updates": updates}))
        found = audited(tmp_path, "cpu", conf)["about"]
        assert (found["update"], found["starts"], found["mc_horizon"]) == (
            updates,
            conf.starts,
            conf.mc_horizon,
        )
    assert made == [(5, 6, "cpu"), (5, 6, "cpu"), (9, 6, "cpu")]
