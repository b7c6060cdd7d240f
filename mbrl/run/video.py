"""An episode of a policy as moving pictures, where the environment can be rendered."""

import io
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import torch
from PIL import Image

from mbrl.core.errors import ConfigError
from mbrl.core.files import write_output
from mbrl.core.types import EnvSpec, Policy
from mbrl.run.envs import make_env
from mbrl.run.evaluate import DEFAULT_CAP, Episodic

FASTEST = 50
"""Pictures a second that a GIF can show: its unit of time is 1/100 s."""


def record_episode(
    policy: Policy, env: EnvSpec, path: Path | str, *, start: int = 0, max_steps: int | None = None
) -> tuple[float, int]:
    """Write one episode of the deterministic policy (one seed's) as a GIF; its return and length.

    start: what the environment is reset with. Raises ConfigError where nothing can be rendered, saying what may
    help, and for a file that is not .gif or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ConfigError(f"{path}: videos are written as .gif")
    plain = make_env(env)
    plain.close()
    if "rgb_array" not in plain.metadata.get("render_modes", ()):
        raise ConfigError(f"{env.id} renders no pictures")
    world = make_env(replace(env, kwargs={**env.kwargs, "render_mode": "rgb_array"}))
    try:
        pictures, total = _episode(policy, world, start, max_steps or DEFAULT_CAP)
        rate = world.metadata.get("render_fps") or 30
    finally:
        world.close()
    every = max(1, round(rate / FASTEST + 0.49))
    kept = [Image.fromarray(picture) for picture in pictures[::every]]
    buffer, options = io.BytesIO(), {"duration": 1000 * every / rate, "loop": 0}
    kept[0].save(buffer, "GIF", save_all=True, append_images=kept[1:], **options)
    write_output(path, buffer.getvalue())
    return total, len(pictures) - 1


def _episode(policy: Policy, world: gymnasium.Env, start: int, cap: int) -> tuple[list[np.ndarray], float]:
    """Pictures before the first step and after each, and the return."""
    obs, total = world.reset(seed=start)[0], 0.0
    pictures = [_picture(world)]
    if isinstance(policy, Episodic):
        policy.reset()
    for _ in range(cap):
        seen = torch.as_tensor(np.asarray(obs), dtype=torch.float32)[None, None]
        with torch.no_grad():
            action = policy.act(seen.to(getattr(policy, "device", "cpu")))[0, 0].cpu().numpy()
        obs, reward, terminated, truncated, _ = world.step(action)
        total += float(np.asarray(reward).mean())
        pictures.append(_picture(world))
        if np.any(terminated) or np.any(truncated):
            break
    return pictures, total


def _picture(world: gymnasium.Env) -> np.ndarray:
    """[height, width, 3] uint8. Graphics libraries fail in ways of their own: each means that there are none."""
    try:
        found = world.render()
    except Exception as error:
        raise ConfigError(
            f"{world.spec.id} cannot be rendered here ({type(error).__name__}); without a display MuJoCo needs "
            "MUJOCO_GL=egl (a GPU's driver) or MUJOCO_GL=osmesa (libosmesa6)"
        ) from error
    return np.ascontiguousarray(found[..., :3].astype(np.uint8))
