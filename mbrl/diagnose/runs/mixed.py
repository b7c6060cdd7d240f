"""Runs that do not belong in one table: other data, environments or simulators."""

import json
from collections.abc import Callable, Collection, Sequence

from mbrl.core.errors import ConfigError, MismatchError, unknown_name
from mbrl.diagnose.runs.record import Record

MERGE = {
    "datasets": "dataset ids: each keeps its own rows, and figures over all are normalised scores",
    "versions": "versions of a dataset (sha256): runs on any of them count as runs on one",
    "environments": "environments of a dataset: returns in any of them count as returns in one",
    "mujoco": "versions of mujoco: physics, and so returns, may differ a little between them",
}
"""What reports refuse to merge, and what it means if told to."""


def check_mergeable(records: Sequence[Record], allowed: Collection[str] = ()) -> list[str]:
    """What differs among runs that have ended although `allowed`, a sentence each.

    Raises ConfigError for a name in `allowed` that is not one of MERGE. Raises MismatchError for runs that differ
    in other ways: it names what differs, which runs, and how to merge them all the same.
    """
    for name in allowed:
        if name not in MERGE:
            raise ConfigError(unknown_name("merge", name, MERGE))
    ended = [record for record in records if record.dataset]
    by_id = _split(ended, lambda record: record.dataset["id"])
    found = [("datasets", "the dataset", by_id)]
    for name, runs in by_id.items():
        found.append(("versions", f"the version (sha256) of {name}", _split(runs, _version)))
        found.append(("environments", f"the environment of {name}", _split(runs, _environment)))
    found.append(("mujoco", "the version of mujoco", _split(ended, _mujoco)))
    differing = [(kind, _sentence(what, parts)) for kind, what, parts in found if len(parts) > 1]
    refused = [(kind, sentence) for kind, sentence in differing if kind not in allowed]
    if refused:
        kinds = dict.fromkeys(kind for kind, _ in refused)
        raise MismatchError(
            f"{'; '.join(text for _, text in refused)}: different data do not belong in one table. Name fewer "
            f"runs, or merge them all the same: --merge {' '.join(kinds)}"
        )
    return [sentence for _, sentence in differing]


def _split(records: Sequence[Record], of: Callable[[Record], str]) -> dict[str, list[Record]]:
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(of(record), []).append(record)
    return parts


def _sentence(what: str, parts: dict[str, list[Record]]) -> str:
    """'the version of mujoco differs: 3.3.2 (run a and 4 more), 3.4.0 (run b)'."""
    more = {key: f" and {len(runs) - 1} more" if len(runs) > 1 else "" for key, runs in parts.items()}
    return f"{what} differs: " + ", ".join(
        f"{key} ({runs[0].folder}{more[key]})" for key, runs in parts.items()
    )


def _version(record: Record) -> str:
    return str(record.dataset["sha256"])


def _environment(record: Record) -> str:
    """The id, with what else is part of its identity where there is any."""
    env = record.dataset.get("env")
    if not isinstance(env, dict):
        return "none" if env is None else str(env)
    rest = {key: value for key, value in env.items() if key != "id" and value}
    return str(env.get("id")) + (f" {json.dumps(rest, sort_keys=True)}" if rest else "")


def _mujoco(record: Record) -> str:
    return str((record.result.get("versions") or {}).get("mujoco", "unknown"))
