"""Offline model-based reinforcement learning: datasets, dynamics, agents, and one loop that joins them."""

from pathlib import Path

__version__ = "0.1.0"

# The one piece of magic in the project. In a checkout the packages `mbrl.dynamics`, `mbrl.agents` and
# `mbrl.datasets` live in top-level folders beside this one; Python started in the checkout finds this
# folder before any installed copy. Extending the search path (only where setup.cfg shows that this is a
# checkout) lets the same import work from there, and no bare `datasets` ever becomes importable by us.
_root = Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file() and (_root / "dynamics").is_dir():
    __path__.append(str(_root))
