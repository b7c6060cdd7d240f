"""Schemas of what came with several agents: their learners, and sources that move with the joint policy."""

from dataclasses import dataclass

from mbrl.conf.schema import SourceConf, option


@dataclass
class PjapConf(SourceConf):
    """Rows of the data near the current joint policy (Tilbury et al. 2024, PJAP); numbers of the authors' code."""

    name: str = option("pjap", "which kind of source")
    steepness: float = option(
        4.0, "s in the priority exp(-(s d)^2) of a row at mean distance d (og-marl: 3.5, 4)"
    )
    floor: float = option(0.01, "no row's priority is less (og-marl)")
    starts: int = option(5000, "rows drawn at each refresh (ours)")
    refresh_every: int = option(100, "updates between refreshes (ours; og-marl: 10 updates, of a batch)")
    retain: int = option(1, "refreshes that the synthetic buffer keeps (ours)")
