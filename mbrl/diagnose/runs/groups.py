"""Runs of one configuration on one dataset, whose seeds may be pooled; and what to call configurations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mbrl.diagnose.runs.record import Record

NOT_A_SETTING = {
    "seeds",
    "out",
    "device",
    "resume",
    "overwrite",
    "dataset",
    "train.progress",
    "train.checkpoint_every",
    "train.log_every",
    "dynamics.cache",
    "dynamics.ensemble.cache",
    "source.diffusion.cache",
    "dynamics.threads",
}
"""Options, or sections, that say where or how a run is made, not what it learns. Data are told apart by id."""
NAMES = ("label", "name")
LONGEST = 60
Settings = dict[str, Any]
"""{dotted key: value} of a configuration."""


@dataclass
class Group:
    """Runs of one method on one dataset: a row of a report. No seed is there twice."""

    method: str
    dataset: str
    settings: Settings
    records: list[Record] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many seeds there are."""
        return sum(len(record.ended) for record in self.records)

    def seeds(self, ended: str) -> int:
        """How many seeds ended so."""
        return sum(end == ended for record in self.records for end in record.ended.values())

    def values(self, scale: str, figure: str) -> dict[int, float]:
        """{seed: score} of the seeds that finished and have one."""
        found = {s: r.value(scale, figure, s) for r in self.records for s in r.sound}
        return {seed: value for seed, value in found.items() if value is not None}


def settings(record: Record) -> Settings:
    """The options of a run that say what it learns, flat; {} for a run without a configuration."""
    flat = dict(_flat(record.config or {}))
    return {key: value for key, value in flat.items() if not _parents(key) & NOT_A_SETTING}


def group_records(records: Sequence[Record]) -> list[Group]:
    """A group for every method and dataset, in the order of the runs.

    Runs share a method if their settings are equal. Where a seed would be there twice, as with a copy of a run,
    nothing is pooled: each run is then a method of its own, and so is a run without a configuration.
    """
    kept = [(record, settings(record)) for record in records]
    pools: dict[str, list[tuple[Record, Settings]]] = {}
    for record, found in kept:
        pools.setdefault(_key(record, found), []).append((record, found))
    methods = {key: pool for part in pools.items() for key, pool in _without_repeats(*part)}
    names = method_names({key: (pool[0][1], [r.name for r, _ in pool]) for key, pool in methods.items()})
    groups: dict[tuple[str, str], Group] = {}
    for key, pool in methods.items():
        for record, found in pool:
            place = names[key], dataset_name(record)
            groups.setdefault(place, Group(*place, found)).records.append(record)
    return list(groups.values())


def dataset_name(record: Record) -> str:
    """The dataset's id; of a run without a result, what its configuration says."""
    source = ((record.config or {}).get("dataset") or {}).get("source", "unknown data")
    return str(record.dataset.get("id", source))


def method_names(methods: Mapping[str, tuple[Settings, list[str]]]) -> dict[str, str]:
    """What to call methods {key: (settings, names of its runs)}.

    The folder's name where each is one run, else what differs: the parts' names, and the values of what differs
    among methods that share those. No two have the same name: where it is needed, the folder's is added.
    """
    folders = {key: runs[0] for key, (_, runs) in methods.items()}
    if all(len(runs) == 1 for _, runs in methods.values()) and len({*folders.values()}) == len(folders):
        return folders
    labels = _by_what_differs({key: found for key, (found, _) in methods.items()})
    for key, text in labels.items():
        if not text:
            labels[key] = str(methods[key][0].get("agent.label") or folders[key])
        elif len(text) > LONGEST:
            labels[key] = folders[key]
    return _once(labels, folders)


def differing(found: Iterable[Settings]) -> list[str]:
    """Keys that are not the same in all settings, in the order in which they appear."""
    parts = list(found)
    keys = dict.fromkeys(key for part in parts for key in part)
    return [key for key in keys if len({_text(part.get(key, _MISSING)) for part in parts}) > 1]


_MISSING = object()


def _by_what_differs(methods: Mapping[str, Settings]) -> dict[str, str]:
    names = [key for key in differing(methods.values()) if key.rpartition(".")[2] in NAMES]
    alike: dict[str, dict[str, Settings]] = {}
    for key, found in methods.items():
        part = {found.get(f"{k.rpartition('.')[0]}.label", found.get(k)) for k in names}
        alike.setdefault(" ".join(dict.fromkeys(str(v) for v in part if v not in (None, "none"))), {})[
            key
        ] = found
    labels = {}
    for name, peers in alike.items():
        rest = differing(peers.values())
        for key, found in peers.items():
            values = [f"{_short(k, rest)}={found[k]}" for k in rest if k in found]
            labels[key] = " ".join([*([name] if name else []), *values])
    return labels


def _short(key: str, keys: Sequence[str]) -> str:
    """The last part of a dotted key, where that is enough."""
    last = key.rpartition(".")[2]
    return last if sum(k.rpartition(".")[2] == last for k in keys) == 1 else key


def _once(labels: Mapping[str, str], folders: Mapping[str, str]) -> dict[str, str]:
    taken, names = [*labels.values()], {}
    for key, text in labels.items():
        name = text if taken.count(text) == 1 else f"{text} ({folders[key]})"
        while name in names.values():
            name += "'"
        names[key] = name
    return names


def _without_repeats(
    key: str, pool: list[tuple[Record, Settings]]
) -> list[tuple[str, list[tuple[Record, Settings]]]]:
    places = [(dataset_name(record), seed) for record, _ in pool for seed in record.seeds]
    if len({*places}) == len(places):
        return [(key, pool)]
    return [(f"{key} {i}", [part]) for i, part in enumerate(pool)]


def _key(record: Record, found: Settings) -> str:
    return _text(found) if found else str(record.folder)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _flat(config: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _parents(key: str) -> set[str]:
    """A dotted key and the sections it is in."""
    parts = key.split(".")
    return {".".join(parts[: i + 1]) for i in range(len(parts))}
