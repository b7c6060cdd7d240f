"""The datasets D4RL published: their names, reference scores and files.

Fu et al. 2020; constants and file names as in d4rl/infos.py and, for antmaze v1, d4rl/locomotion.
"""

from collections.abc import Iterator

Reference = tuple[float, float]

HOST = "http://rail.eecs.berkeley.edu/datasets/offline_rl"

LOCOMOTION: dict[str, Reference] = {
    "halfcheetah": (-280.178953, 12135.0),
    "hopper": (-20.272305, 3234.3),
    "walker2d": (1.629008, 4592.3),
    "ant": (-325.6, 3879.7),
}
MAZE2D: dict[str, Reference] = {
    "maze2d-open-v0": (0.01, 20.66),
    "maze2d-umaze-v1": (23.85, 161.86),
    "maze2d-medium-v1": (13.13, 277.39),
    "maze2d-large-v1": (6.7, 273.99),
    "maze2d-open-dense-v0": (11.17817, 27.166538620695782),
    "maze2d-umaze-dense-v1": (68.537689, 193.66285642381482),
    "maze2d-medium-dense-v1": (44.264742, 297.4552547777125),
    "maze2d-large-dense-v1": (30.569041, 303.4857382709002),
}
ADROIT: dict[str, Reference] = {
    "pen": (96.262799, 3076.8331017826877),
    "hammer": (-274.856578, 12794.134825156867),
    "door": (-56.512833, 2880.5693087298737),
    "relocate": (-6.425911, 4233.877797728884),
}
# kind -> maze in v1's file names, maze in v0's and v2's, whether starts and goals vary
ANTMAZE = {
    "umaze": ("umaze", "u-maze", "multistart_False_multigoal_False"),
    "umaze-diverse": ("umaze", "u-maze", "multistart_True_multigoal_True"),
    "medium-play": ("medium", "big-maze", "multistart_True_multigoal_False"),
    "medium-diverse": ("medium", "big-maze", "multistart_True_multigoal_True"),
    "large-play": ("large", "hardest-maze", "multistart_True_multigoal_False"),
    "large-diverse": ("large", "hardest-maze", "multistart_True_multigoal_True"),
}
KITCHEN = {
    "complete": "mini_kitchen_microwave_kettle_light_slider",
    "partial": "kitchen_microwave_kettle_light_slider",
    "mixed": "kitchen_microwave_kettle_bottomburner_light",
}
_KINDS = ("random", "medium", "expert", "medium-replay", "medium-expert")
_ADROIT_V0 = {
    "human": "{}-v0_demos_clipped",
    "cloned": "{}-demos-v0-bc-combined",
    "expert": "{}-v0_expert_clipped",
}

Entry = tuple[str, Reference, str]


def _locomotion() -> Iterator[Entry]:
    for env, reference in LOCOMOTION.items():
        for kind in _KINDS:
            file = f"{env}_{kind.replace('-', '_')}"
            if kind == "medium-replay":  # v0 calls it mixed, and walker2d's file walker
                file = "walker_mixed" if env == "walker2d" else f"{env}_mixed"
            yield f"{env}-{kind}-v0", reference, f"gym_mujoco/{file}.hdf5"
        for version in ("v1", "v2"):
            for kind in (*_KINDS, "full-replay"):
                file = f"{env}_{kind.replace('-', '_')}-{version}.hdf5"
                yield f"{env}-{kind}-{version}", reference, f"gym_mujoco_{version}/{file}"


def _mazes() -> Iterator[Entry]:
    for name, reference in MAZE2D.items():
        stem, version = name.rsplit("-", 1)
        stem = stem if stem.endswith("dense") else f"{stem}-sparse"
        yield name, reference, f"maze2d/{stem}.hdf5" if version == "v0" else f"maze2d/{stem}-{version}.hdf5"
    for kind, (maze, old_maze, variety) in ANTMAZE.items():
        files = {
            "v0": f"ant_maze_new/Ant_maze_{old_maze}_noisy_{variety}_sparse.hdf5",
            "v1": f"ant_maze_v1/Ant_maze_{maze}_noisy_{variety}_sparse.hdf5",
            "v2": f"ant_maze_v2/Ant_maze_{old_maze}_noisy_{variety}_sparse_fixed.hdf5",
        }
        for version, path in files.items():
            yield f"antmaze-{kind}-{version}", (0.0, 1.0), path


def _manipulation() -> Iterator[Entry]:
    for kind, file in KITCHEN.items():
        yield f"kitchen-{kind}-v0", (0.0, 4.0), f"kitchen/{file}-v0.hdf5"
    for env, reference in ADROIT.items():
        for kind, pattern in _ADROIT_V0.items():
            yield f"{env}-{kind}-v0", reference, f"hand_dapg/{pattern.format(env)}.hdf5"
            yield f"{env}-{kind}-v1", reference, f"hand_dapg_v1/{env}-{kind}-v1.hdf5"


_ENTRIES = [*_locomotion(), *_mazes(), *_manipulation()]
REFERENCES: dict[str, Reference] = {name: reference for name, reference, _ in _ENTRIES}
PATHS: dict[str, str] = {name: path for name, _, path in _ENTRIES}
