"""Reach audit of a run: does it suffer from edge-of-reach states, and why? Writes one page and one JSON file.

python scripts/diagnose.py runs/quickstart
python scripts/diagnose.py runs/quickstart --checkpoint checkpoint-diverged --seeds 0 1 --out audit
"""

import argparse
import json
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Print where the page is, and its verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder, with config.yaml and checkpoint/")
    parser.add_argument(
        "--checkpoint", default="checkpoint", help="its folder in the run (default checkpoint)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for audit.html and audit.json (default <run>/diagnose)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="which of the run's seeds (default all)")
    parser.add_argument("--starts", type=int, default=500, help="rollouts a seed (default 500)")
    parser.add_argument(
        "--mc-horizon", type=int, default=300, help="steps of a Monte-Carlo return (default 300)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--fit", action="store_true", help="fit the model again if the cache has lost it")
    args = parser.parse_args()
    with reported_errors():
        from mbrl.run.build.audit import audit_run

        page = audit_run(
            args.run,
            checkpoint=args.checkpoint,
            out=args.out,
            seeds=args.seeds,
            starts=args.starts,
            mc_horizon=args.mc_horizon,
            device=args.device,
            fit=args.fit,
        )
        found = json.loads((page.parent / "audit.json").read_text())
        print(f"{found['verdict']['sentence']}\n{page}")


if __name__ == "__main__":
    main()
