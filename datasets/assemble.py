"""The one path from a record to a dataset, whatever it was read from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets.actions import Bounds, to_unit_scale
from mbrl.datasets.binding import bind, check_dims, step_limit
from mbrl.datasets.dataset import OfflineDataset, Stats
from mbrl.datasets.digest import record_sha256
from mbrl.datasets.episodes import first_rows, last_rows, mark_ends
from mbrl.datasets.extract import Extracted, extract
from mbrl.datasets.joint import check_columns
from mbrl.datasets.lineage import UNKNOWN, bound_lineage, lineage_in, with_lineage
from mbrl.datasets.record import Record
from mbrl.datasets.simulator import check_state
from mbrl.datasets.validate import clean

NAMELESS = "nobody says in which simulator this was recorded: pass env=EnvSpec(...) or lineage="


def assemble(
    record: Record,
    *,
    id: str,
    where: str | None = None,
    sha256: str | None = None,
    recorded_env: EnvSpec | None = None,
    behaviour: str = "",
    notes: Sequence[str] = (),
    layout: Layout | None = None,
    lineage: str | None = None,
    env: EnvSpec | None = None,
    max_episode_steps: int | None = None,
    action_bounds: Bounds | None = None,
    clip_actions: bool = False,
) -> OfflineDataset:
    """Check, scale, find episodes, extract transitions, count.

    From the loader: id; where, the file for messages, if not the id; sha256, None for that of the columns;
    recorded_env; behaviour; notes; layout, where the columns of several agents stand side by side, and the lineage
    of these (mbrl.datasets.lineage), which becomes part of the id.
    From the user, options of every loader:
    env: the environment to bind, if not the recorded one.
    max_episode_steps: the recorder's step limit, used where a file has no timeouts; by default that of env.
    action_bounds: (low, high) if actions are in the environment's own scale and not in [-1, 1].
    clip_actions: clip actions outside the bounds instead of refusing them.

    Raises DataError for unusable data and MismatchError for an environment of other dimensions or another lineage.
    """
    where = where or id
    record = clean(record, where)
    sha256 = sha256 or record_sha256(record)
    if layout is not None:
        check_columns(layout, record.observations, record.actions, where)
        lineage = bound_lineage(lineage or lineage_in(id), recorded_env, env, where)
        id, notes = with_lineage(id, lineage), (*notes, *([NAMELESS] if lineage == UNKNOWN else []))
    env, env_notes = bind(recorded_env, env)
    check_dims(env, record.observations.shape[1], record.actions.shape[1], where)
    record = replace(record, actions=to_unit_scale(record.actions, action_bounds, where, clip_actions))
    record, state_notes = check_state(record, joint=layout is not None)
    limit = step_limit(env) if max_episode_steps is None else max_episode_steps
    record, end_notes = mark_ends(record, where, limit)
    extracted = extract(record, where)
    all_notes = (*notes, *env_notes, *state_notes, *end_notes)
    return OfflineDataset(
        id=id,
        transitions=extracted.transitions if layout is None else layout.joint_rows(extracted.transitions),
        episode=extracted.episode,
        successor_known=extracted.successor_known,
        env=env,
        sha256=sha256,
        stats=_stats(record, extracted, all_notes),
        behaviour=behaviour,
        layout=layout,
    )


def _stats(record: Record, extracted: Extracted, notes: Sequence[str]) -> Stats:
    last = last_rows(record)
    first = np.flatnonzero(first_rows(last))
    returns = np.add.reduceat(record.rewards, first, dtype=np.float64)
    notes = list(notes)
    if not (record.terminals[-1] or record.timeouts[-1]):
        notes.append("the last episode is unfinished; it counts as one, with the return it got so far")
    without = int((~extracted.successor_known).sum())
    if without:
        notes.append(
            f"{without:,} terminal rows have no recorded successor: good for values, not for dynamics"
        )
    return Stats(
        transitions=len(extracted.transitions),
        episodes=len(first),
        return_min=float(returns.min()),
        return_mean=float(returns.mean()),
        return_max=float(returns.max()),
        length_mean=len(record) / len(first),
        terminals=int(record.terminals.sum()),
        timeouts=int(record.timeouts.sum()),
        dropped=extracted.dropped,
        notes=tuple(notes),
    )
