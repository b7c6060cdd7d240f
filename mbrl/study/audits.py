"""What a study reads off the reach audits of its cells, whose pages stay in the cells: diagnose/audit.html."""

import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mbrl.conf.studies import AuditConf
from mbrl.core.errors import DataError
from mbrl.run.build.audit import audit_run
from mbrl.study.values import Values, read_result

Audit = dict[str, Any]
COEFFICIENTS = ("pearson", "pearson_variance", "spearman")


def audited(folder: Path, device: str, conf: AuditConf) -> Audit:
    """The audit of a run at its end: <run>/diagnose/audit.json, written if it is not there yet for this end."""
    path, result = folder / "diagnose/audit.json", read_result(folder)
    wanted = {"update": result["updates"], "starts": conf.starts, "mc_horizon": conf.mc_horizon}
    if path.is_file():
        found = json.loads(path.read_text())
        if wanted.items() <= found["about"].items():
            return found
    with (folder / "log.txt").open("a") as log, redirect_stdout(log):
        options = {"starts": conf.starts, "mc_horizon": conf.mc_horizon, "device": device}
        audit_run(folder, fit=True, progress=False, **options)
    return json.loads(path.read_text())


def correlation_values(audit: Audit) -> Values:
    """<coefficient>_<measure> [S] of every uncertainty measure with the critics' spread, along rollouts.

    coefficient: pearson, pearson_variance (with the squared spread) or spearman; measures: those of
    mbrl.dynamics.uncertainty, and the agent's own where it has one. None where there is no coefficient, and why is
    in no_correlation {measure: [S]}.
    """
    found = _part(audit, "correlation")
    values = {f"{c}_{name}": figures[c] for c in COEFFICIENTS for name, figures in found.items()}
    return values | {"measures": list(found), "no_correlation": {n: f["reason"] for n, f in found.items()}}


def error_values(audit: Audit) -> Values:
    """Model against truth by rollout step, [S][k], and the overestimate by depth, [S][k + 1].

    reward_model and reward_true: mean reward along rollouts in the model, and in truth from the same starts;
    paired_error: their mean difference; reward_error: mean |model - true| of one step from the same state and
    action; reward_bias: the same with its sign; obs_error: root mean square of that step's observation in units of
    the data's deviations; left_out: rows whose state is not known; overestimate: min Q - true_value, the return.
    """
    step, pair, bias = (_part(audit, name) for name in ("one_step", "paired", "bias"))
    return {
        "reward_true": pair["true"]["mean"],
        "reward_model": pair["model"]["mean"],
        "paired_error": pair["difference"]["mean"],
        "reward_error": step["reward"]["mean"],
        "reward_bias": step["reward_bias"]["mean"],
        "obs_error": step["next_obs"]["mean"],
        "left_out": step["left_out"],
        "overestimate": bias["overestimate"]["min_soft"]["mean"],
        "true_value": bias["value"]["soft"]["mean"],
    }


def _part(audit: Audit, name: str) -> dict[str, Any]:
    """One measurement. Raises DataError, with the audit's reason, where it could not be made."""
    if audit[name] is None:
        raise DataError(f"the audit has no {name}: {audit['missing'].get(name, 'not measured')}")
    return audit[name]
