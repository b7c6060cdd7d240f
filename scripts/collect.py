"""Record offline data, from online SAC trained here, policy files or a run's agent, as HDF5 and Minari datasets.

python scripts/collect.py --env HalfCheetah-v5 --train-steps 50000 --kinds random medium expert --out data
python scripts/collect.py --env mamujoco/Hopper-3x1-v1 --policy ppo.npz trpo.npz --noise 0.2 --out data
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from mbrl.agents import SAC
from mbrl.conf.cli import reported_errors
from mbrl.core.device import pick_device
from mbrl.core.types import EnvSpec
from mbrl.datasets.recording import Recording
from mbrl.run.build.recorded import dataset_names, policies_recording, run_recording
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
    p.add_argument("--formats", nargs="+", choices=FORMATS, help="(both; of several agents hdf5)")
    p.add_argument("--minari-format", choices=("hdf5", "arrow"), default="hdf5", help="(%(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace datasets of the same name")
    p.add_argument("--next-observations", action=argparse.BooleanOptionalAction, default=True)
    way = p.add_mutually_exclusive_group()
    way.add_argument("--policy", type=Path, nargs="+", metavar="NPZ", help="files of mbrl.agents.policy_file")
    way.add_argument("--run", type=Path, help="run folder whose agent to record")
    way.add_argument("--kinds", nargs="+", choices=KINDS, default=["medium-replay"], help="%(default)s")
    p.add_argument("--name", help="of the data of a policy or a run, if not theirs")
    p.add_argument("--noise", type=float, default=0.0, help="std of noise on their actions (%(default)s)")
    p.add_argument("--run-seed", type=int, help="which of the run's seeds, if not the first")
    online = p.add_argument_group("online SAC, which gives all kinds but random")
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
        return (yield policies_recording(collector, args.policy, **pick(args, "noise", "name")))
    if args.run:
        return (yield run_recording(collector, args.run, **pick(args, "noise", "name", "run_seed", "device")))
    if set(args.kinds) != {"random"}:
        agent = SAC(*collector.dims, seeds=[args.seed], hidden=args.hidden, device=pick_device(args.device))
        collector.learn(agent, **pick(args, "steps", "warmup", "updates_per_step", "batch_size"))
    yield from (KINDS[kind](collector) for kind in args.kinds)


def main(args: argparse.Namespace) -> None:
    how = pick(args, "seed", "sampled", "medium_fraction", "medium_step")
    collector = Collector(EnvSpec(args.env, args.env_kwargs), args.record, **how)
    outputs = Outputs(args.out, **pick(args, "formats", "minari_format", "overwrite", "next_observations"))
    names = dataset_names(**pick(args, "policy", "run", "name", "kinds"))
    outputs.check([collector.id(name) for name in names], collector.layout)
    for recording in recordings(args, collector):
        print(recording.summary(), *outputs.write(recording), sep="\n")


if __name__ == "__main__":
    with reported_errors():
        main(options().parse_args())
