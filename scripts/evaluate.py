"""Evaluate a run's checkpoint in its real environment, with start states no evaluation in training has seen.

python scripts/evaluate.py runs/quickstart --episodes 20
python scripts/evaluate.py runs/quickstart --seeds 1 --export policy.pt  the policy, for projects without this one
python scripts/evaluate.py runs/quickstart --seeds 1 --video policy.gif  an episode, where rendering is available
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
    parser.add_argument("--export", type=Path, help="write the first seed's policy as TorchScript instead")
    parser.add_argument("--video", type=Path, help="write an episode of the first seed as a .gif instead")
    args = parser.parse_args()
    if args.episodes < 1:
        parser.error(f"--episodes must be at least 1, got {args.episodes}")
    first = args.seeds[0] if args.seeds else None
    with reported_errors():
        from mbrl.run.build import evaluate_run
        from mbrl.run.build.policy import export_run, record_run

        found = []
        if args.export:
            found.append(export_run(args.run, args.export, seed=first))
        if args.video:
            found.append(record_run(args.run, args.video, seed=first))
        if not found:
            found.append(evaluate_run(args.run, episodes=args.episodes, seeds=args.seeds, device=args.device))
        for each in found:
            print(json.dumps(each, indent=2))


if __name__ == "__main__":
    main()
