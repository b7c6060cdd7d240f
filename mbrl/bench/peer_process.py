"""Other libraries' code for the same work, for a process of an interpreter that has them; imports nothing of ours.

    python -I peer_process.py versions              a JSON object {library: version} of those installed
    python -I peer_process.py d3rlpy '{"rows": ..}' ready: then for each number of calls on stdin, {"seconds": ...}

Run with -I, since mbrl-lib's package has the same name as ours. mbrl.bench.peers starts it.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

DISTRIBUTIONS = {"d3rlpy": "d3rlpy", "mbrl-lib": "mbrl"}


def versions() -> dict[str, str]:
    """What is installed here, torch among it."""
    found = {}
    for library, distribution in {**DISTRIBUTIONS, "torch": "torch"}.items():
        try:
            found[library] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def d3rlpy_update(task: dict[str, Any]) -> Callable[[], object]:
    """One SAC update with task["critics"] critics: SACImpl.update on a batch that is on the device already."""
    import d3rlpy
    import torch
    from d3rlpy.models import VectorEncoderFactory
    from d3rlpy.torch_utility import TorchMiniBatch

    encoder = VectorEncoderFactory(task["hidden"])
    config = d3rlpy.algos.SACConfig(
        batch_size=task["rows"],
        n_critics=task["critics"],
        actor_encoder_factory=encoder,
        critic_encoder_factory=encoder,
        actor_learning_rate=3e-4,
        critic_learning_rate=3e-4,
        temp_learning_rate=3e-4,
        compile_graph=task["device"].startswith("cuda"),
    )
    device, rows = task["device"], task["rows"]
    learner = config.create(device=device if device.startswith("cuda") else False)
    learner.create_impl((task["obs_dim"],), task["action_dim"])

    def normal(width: int) -> Any:
        return torch.randn(rows, width, device=device)

    zeros = torch.zeros(rows, 1, device=device)
    batch = TorchMiniBatch(
        observations=normal(task["obs_dim"]),
        actions=torch.tanh(normal(task["action_dim"])),
        rewards=normal(1),
        next_observations=normal(task["obs_dim"]),
        next_actions=torch.tanh(normal(task["action_dim"])),
        returns_to_go=zeros,
        terminals=zeros,
        intervals=zeros + 1,
        device=device,
    )
    return lambda: learner.impl.update(batch, 0)


def mbrl_lib_step(task: dict[str, Any]) -> Callable[[], object]:
    """task["steps"] training steps of GaussianMLP as its ModelTrainer makes them, from numpy rows."""
    import torch

    from mbrl.models import GaussianMLP

    fan_in, fan_out = task["obs_dim"] + task["action_dim"], task["obs_dim"] + 1
    model = GaussianMLP(
        fan_in,
        fan_out,
        torch.device(task["device"]),
        num_layers=len(task["hidden"]),
        ensemble_size=task["members"],
        hid_size=task["hidden"][0],
        activation_fn_cfg={"_target_": "torch.nn.SiLU"},
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-5)
    rows = task["members"], task["rows"]
    inputs, targets = torch.randn(*rows, fan_in).numpy(), torch.randn(*rows, fan_out).numpy()

    def tensor(x: Any) -> Any:
        return torch.from_numpy(x).to(task["device"])

    def steps() -> None:
        for _ in range(task["steps"]):
            model.update(tensor(inputs), optimiser, target=tensor(targets))

    return steps


WORK = {"d3rlpy": d3rlpy_update, "mbrl-lib": mbrl_lib_step}


def serve(library: str, task: dict[str, Any]) -> None:
    """Times calls as asked for on stdin, until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a library prints must not come between our lines.
    import torch

    torch.set_num_threads(task["threads"])
    step = WORK[library](task)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    wait = torch.cuda.synchronize if task["device"].startswith("cuda") else lambda: None
    for line in sys.stdin:
        wait()
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        wait()
        print(json.dumps({"seconds": time.perf_counter() - began}), file=answers, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "versions":
        print(json.dumps(versions()))
    else:
        serve(sys.argv[1], json.loads(sys.argv[2]))
