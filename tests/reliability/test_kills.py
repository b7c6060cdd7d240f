"""Killed at seeded moments, also while it saves, a run resumes to the bits of one that was not.

By hand with more of them, and their counts:

    KILLS=50 pytest -s tests/reliability/test_kills.py
"""

import os

from tests.reliability.kills import harness

KILLS = int(os.environ.get("KILLS", "6"))


def test_runs_killed_at_seeded_moments_end_as_if_nothing_had_been(tmp_path):
    found = harness(tmp_path, KILLS)
    print(dict(found))
    assert found["different"] == 0, found
    assert found["killed"] == KILLS, found
