"""How near a run's diffusion samples follow its policy, and how true they are, against lambda: JSON and picture.

python scripts/on_policyness.py runs/my_coda_run --guides posterior conjugate --out runs/on_policyness
"""

import argparse
import json
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Write <name>.json and <name>.png: a curve a run and guide, a line of panels an environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="+", help="run folders, of source=coda")
    parser.add_argument("--guides", nargs="+", default=["posterior"], help="source.guide (default posterior)")
    parser.add_argument("--weights", type=float, nargs="+", help="lambdas (default 0 to 10)")
    parser.add_argument("--segments", type=int, default=500, help="samples a seed (default 500)")
    parser.add_argument("--out", type=Path, help="folder to write (default: the first run)")
    parser.add_argument("--name", default="on_policyness", help="of the files (default on_policyness)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    args = parser.parse_args()
    with reported_errors():
        from mbrl.core.files import write_output
        from mbrl.diagnose.on_policyness_picture import draw_on_policyness
        from mbrl.run.build.on_policy import WEIGHTS, on_policy_run

        out = args.out or args.run[0]
        options = {"guides": args.guides, "weights": args.weights or WEIGHTS, "segments": args.segments}
        curves = [curve for run in args.run for curve in on_policy_run(run, device=args.device, **options)]
        file = out / f"{args.name}.json"
        write_output(file, json.dumps([curve.as_dict() for curve in curves], indent=1) + "\n")
        title = "Samples guided by the run's own joint policy; bands: least to most of the seeds"
        draw_on_policyness(curves, file.with_suffix(".png"), title=title)
        print(f"{file}, picture {file.with_suffix('.png')}")


if __name__ == "__main__":
    main()
