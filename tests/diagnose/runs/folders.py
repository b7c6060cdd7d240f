"""Small run folders as training leaves them."""

import json
import math
from pathlib import Path

import yaml

VERSIONS = {
    "python": "3.11",
    "torch": "2.13",
    "numpy": "2",
    "gymnasium": "1",
    "mujoco": "3.4.0",
    "mbrl": "0.1.0",
}


def config(out, *, seeds, eta=1.0, label="ravl", source="sample", horizon=5):
    """A configuration with a few of its options."""
    return {
        "dataset": {"source": source, "env": None},
        "source": {"name": "rollout", "horizon": horizon},
        "agent": {"name": "sac", "label": label, "eta": eta},
        "train": {"updates": 20, "log_every": 10},
        "seeds": list(seeds),
        "device": "cpu",
        "out": str(out),
    }


def write_run(
    folder,
    *,
    seeds=(0, 1, 2),
    returns=None,
    status="finished",
    lost=(),
    normalized=True,
    dataset="hopper",
    sha="a" * 64,
    env="Hopper-v5",
    mujoco="3.4.0",
    agents=0,
    evaluations=4,
    **options,
):
    """A run whose last return is returns[i]; by default 10 * seed + eta."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    conf = config(folder, seeds=seeds, **options)
    (folder / "config.yaml").write_text(yaml.safe_dump(conf))
    finals = list(returns or [10.0 * s + conf["agent"]["eta"] for s in seeds])
    rows = [row for u in range(evaluations) for row in _rows(u, evaluations, seeds, finals)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if status == "unfinished":
        return folder
    data = {"id": dataset, "sha256": sha, "transitions": 100, "return_mean": 7.0}
    data["env"] = {"id": env, "kwargs": {}, "versions": {}}
    if agents:
        data["agents"] = {"obs_dims": [2] * agents, "action_dims": [1] * agents, "names": []}
    kept = [None if s in lost else v for s, v in zip(seeds, finals, strict=True)]
    result = {
        "status": status,
        "updates": 20,
        "seeds": list(seeds),
        "return": _scores(kept),
        "normalized": _scores([None if v is None else v / 10 for v in kept]) if normalized else None,
        "updates_per_second": 5.0,
        "versions": {**VERSIONS, "mujoco": mujoco},
        "dataset": data,
    }
    if lost:
        result["diverged"] = {
            str(s): {"update": 9, "diagnosis": f"Q of seed {s} is not finite"} for s in lost
        }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def change(folder, name="result.json", **values):
    """Other values for some keys of a JSON file of a run."""
    path = Path(folder) / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _rows(update, last, seeds, finals):
    share = (update + 1) / last
    for seed, final in zip(seeds, finals, strict=True):
        yield {"update": update, "seed": seed, "critic/q_mean": final * math.sqrt(share), "critic/loss": 1.0}
        bias = {f"bias/overestimate_depth_{d}": final * share + d for d in (0, 5)}
        yield {"update": update, "seed": seed, "eval/return": final * share, **bias}


def _scores(values):
    return {
        "last": values,
        "mean_last_10": [None if v is None else v - 1 for v in values],
        "best": [None if v is None else v + 2 for v in values],
    }
