"""Evaluate a run's checkpoint in its real environment, with start states no evaluation in training has seen.

python scripts/evaluate.py runs/quickstart --episodes 20
"""

import argparse
import json
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Print the evaluation as JSON: returns and their standard deviation over episodes, one a seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder, with config.yaml and checkpoint/")
    parser.add_argument("--episodes", type=int, default=10, help="episodes a seed (default 10)")
    parser.add_argument("--seeds", type=int, nargs="+", help="which of the run's seeds (default all)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    args = parser.parse_args()
    if args.episodes < 1:
        parser.error(f"--episodes must be at least 1, got {args.episodes}")
    with reported_errors():
        from mbrl.run.build import evaluate_run

        found = evaluate_run(args.run, episodes=args.episodes, seeds=args.seeds, device=args.device)
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
