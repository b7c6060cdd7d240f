"""How near a run's diffusion samples follow its policy, and how true they are, against lambda: JSON and picture.

python scripts/on_policyness.py runs/my_coda_run --guides posterior conjugate --out runs/on_policyness
"""

import argparse
import json
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Write on_policyness.json and on_policyness.png, a curve a run and guide."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="+", help="run folders, of source=coda")
    parser.add_argument("--guides", nargs="+", default=["posterior"], help="source.guide (default posterior)")
    parser.add_argument("--weights", type=float, nargs="+", help="lambdas (default 0 to 10)")
    parser.add_argument("--segments", type=int, default=500, help="samples a seed (default 500)")
    parser.add_argument("--out", type=Path, help="folder to write (default: the first run)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    args = parser.parse_args()
    with reported_errors():
        from mbrl.diagnose.on_policyness import draw_on_policyness
        from mbrl.run.build.on_policy import WEIGHTS, on_policy_run

        curves, out = {}, args.out or args.run[0]
        options = {"guides": args.guides, "weights": args.weights or WEIGHTS, "segments": args.segments}
        for run in args.run:
            curves |= on_policy_run(run, device=args.device, **options)
        out.mkdir(parents=True, exist_ok=True)
        found = {name: [point.as_dict() for point in points] for name, points in curves.items()}
        (out / "on_policyness.json").write_text(json.dumps(found, indent=1) + "\n")
        draw_on_policyness(curves, out / "on_policyness.png", title="Samples under the run's own policy")
        print(f"{out}/on_policyness.json, picture {out}/on_policyness.png")


if __name__ == "__main__":
    main()
