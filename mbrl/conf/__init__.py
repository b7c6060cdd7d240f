"""Configuration: dataclass schemas, Hydra groups, validation and the command line around them.

Nothing outside this package, the scripts and their tests sees Hydra or OmegaConf.
"""

from mbrl.conf.choices import all_choices
from mbrl.conf.compose import compose
from mbrl.conf.files import load_config, save_config
from mbrl.conf.schema import Config, keywords
from mbrl.conf.validate import validate

__all__ = ["Config", "all_choices", "compose", "keywords", "load_config", "save_config", "validate"]
