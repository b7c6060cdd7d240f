"""Record offline data, from online SAC trained here or from a policy file, as HDF5 and as Minari datasets.

    python scripts/collect.py --env HalfCheetah-v5 --train-steps 50000 --record 20000 --out data \\
        --kinds random medium medium-replay medium-expert expert
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from mbrl.agents import SAC
from mbrl.agents.policy_file import load_policy
from mbrl.conf.cli import reported_errors
from mbrl.core.device import pick_device
from mbrl.core.types import EnvSpec
from mbrl.datasets.recording import Recording
from mbrl.run.behaviour import Noisy
from mbrl.run.collect import KINDS, Collector
from mbrl.run.outputs import FORMATS, Outputs


def options() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--env", required=True, help="Gymnasium id with its version, or package:Id-v0")
    p.add_argument("--env-kwargs", type=json.loads, default={}, metavar="JSON", help="its keyword arguments")
    p.add_argument("--record", type=int, default=100_000, help="transitions of each policy (%(default)s)")
    p.add_argument("--sampled", action=argparse.BooleanOptionalAction, default=True, help="or mean actions")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, required=True, help="folder of the HDF5 files")
    p.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="(both)")
    p.add_argument("--minari-format", choices=("hdf5", "arrow"), default="hdf5", help="(%(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace datasets of the same name")
    p.add_argument("--next-observations", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--policy", type=Path, metavar="NPZ", help="policy to record; see mbrl.agents.policy_file")
    p.add_argument("--noise", type=float, default=0.0, help="its Gaussian action noise, std (%(default)s)")
    online = p.add_argument_group("from online SAC, unless there is a policy")
    online.add_argument("--kinds", nargs="+", choices=KINDS, default=["medium-replay"], help="%(default)s")
    online.add_argument("--train-steps", type=int, dest="steps", default=1_000_000, help="(%(default)s)")
    online.add_argument("--warmup", type=int, default=1000, help="first steps, uniform actions (%(default)s)")
    online.add_argument("--updates-per-step", type=float, default=1.0, help="(%(default)s)")
    online.add_argument("--batch-size", type=int, default=256, help="(%(default)s)")
    online.add_argument("--hidden", type=int, nargs="+", default=[256, 256], help="(%(default)s)")
    online.add_argument("--medium-fraction", type=float, default=1 / 3, help="medium: share of final gain")
    online.add_argument("--medium-step", type=int, help="medium: the policy at this step instead")
    online.add_argument("--device", default="cpu", help="cpu (good for small networks), cuda or auto")
    return p


def pick(args: argparse.Namespace, *names: str) -> dict[str, object]:
    return {name: getattr(args, name) for name in names}


def recordings(args: argparse.Namespace, collector: Collector) -> Iterator[Recording]:
    if args.policy:
        obs_dim, action_dim = collector.dims
        policy = Noisy(load_policy(args.policy, obs_dim=obs_dim, action_dim=action_dim), args.noise)
        yield collector.following(policy, args.policy.stem, f"{args.policy.name}, noise {args.noise}")
        return
    if set(args.kinds) != {"random"}:
        agent = SAC(*collector.dims, seeds=[args.seed], hidden=args.hidden, device=pick_device(args.device))
        collector.learn(agent, **pick(args, "steps", "warmup", "updates_per_step", "batch_size"))
    yield from (KINDS[kind](collector) for kind in args.kinds)


def main(args: argparse.Namespace) -> None:
    env = EnvSpec(args.env, args.env_kwargs)
    collector = Collector(env, args.record, **pick(args, "seed", "sampled", "medium_fraction", "medium_step"))
    outputs = Outputs(args.out, **pick(args, "formats", "minari_format", "overwrite", "next_observations"))
    outputs.check([collector.id(kind) for kind in ([args.policy.stem] if args.policy else args.kinds)])
    for recording in recordings(args, collector):
        print(recording.summary(), *outputs.write(recording), sep="\n")


if __name__ == "__main__":
    with reported_errors():
        main(options().parse_args())
