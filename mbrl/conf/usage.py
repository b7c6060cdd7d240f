"""The text of --help: every group with its options, every option with its value and meaning."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mbrl.conf.choices import all_choices
from mbrl.conf.compose import compose_raw, parse
from mbrl.conf.grid_file import grid_files, load_grid

USAGE = """\
usage: {prog} [GROUP=OPTION ...] [KEY=VALUE ...] [-m] [--dry-run] [--cfg job]
       [--config-dir DIR]

{about}

  -m                 run a grid: every combination of values given as KEY=a,b,c, or +grid=NAME
  --dry-run          with -m: only list the points of the grid, and what they would take
  --cfg job          print the configuration instead of running; with --resolve, every reference filled in
  --config-dir DIR   also find options in DIR/GROUP/OPTION.yaml, your own beside ours
  --hydra-help       flags for launchers, shell completion and looking into the composition
"""


def usage(prog: str, about: str, overrides: Sequence[str], config_dir: str | None = None) -> str:
    """Help for the parts that `overrides` choose, with the values they give; what only a grid reads is left out."""
    lines = [USAGE.format(prog=prog, about=about), "groups (GROUP=OPTION):"]
    for name, known in all_choices(config_dir).items():
        text = textwrap.fill(", ".join(known), 96, break_on_hyphens=False, break_long_words=False)
        lines.append(f"  {name:<10}" + textwrap.indent(text, " " * 12).strip())
    lines += ["", "grids (-m +grid=NAME):"]
    files = grid_files(config_dir)
    lines += [f"  {name:<10}{load_grid(name, config_dir).about}" for name in files]
    lines += ["", "options (KEY=VALUE), here with the values of this command line:"]
    single = [o for o in parse(overrides) if o.key_or_group != "grid" and not o.is_sweep_override()]
    ours = [str(o.input_line) for o in single if not o.is_hydra_override()]
    settings = _settings(compose_raw(ours, config_dir=config_dir))
    lines += [f"  {f'{key}={value}':<52}  {help}" for key, value, help in settings]
    return "\n".join(lines)


def _settings(raw: DictConfig, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted key, value as one would write it, help) of every field."""
    values = OmegaConf.to_container(raw)
    for f in fields(OmegaConf.get_type(raw)):
        node = raw._get_node(f.name)
        if isinstance(node, DictConfig) and is_dataclass(OmegaConf.get_type(node)):
            yield from _settings(node, f"{prefix}{f.name}.")
        elif f.name != "name":
            yield f"{prefix}{f.name}", _text(values[f.name]), f.metadata.get("help", "")


def _text(value: Any) -> str:
    """As the command line reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
