"""What each guide of a diffusion model samples: moments for Gaussians, and on-policy-ness in a game.

python scripts/diffusion_guidance.py --out docs/diffusion_guidance
"""

import argparse
import json
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Write gaussians.json, game.json and on_policyness.png to the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/diffusion_guidance"), help="folder to write")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder of fitted models")
    parser.add_argument("--steps", type=int, default=8000, help="steps of each fit (default 8000)")
    args = parser.parse_args()
    with reported_errors():
        from mbrl.core.files import write_output
        from mbrl.diagnose.gaussian_samples import bias_table, steps_table
        from mbrl.diagnose.guidance_game import game_curves
        from mbrl.diagnose.on_policyness import Curve
        from mbrl.diagnose.on_policyness_picture import draw_on_policyness

        tables = {"bias": bias_table(), "steps": steps_table()}
        write_output(args.out / "gaussians.json", json.dumps(tables, indent=1) + "\n")
        curves = game_curves(args.cache, steps=args.steps)
        found = {name: [point.as_dict() for point in points] for name, points in curves.items()}
        write_output(args.out / "game.json", json.dumps(found, indent=1) + "\n")
        title = "sign agreement, the joint policy at (0.6, 0.6), width 0.1"
        drawn = [Curve("", "", name, points) for name, points in curves.items()]
        draw_on_policyness(drawn, args.out / "on_policyness.png", title=title)
        print(args.out)


if __name__ == "__main__":
    main()
