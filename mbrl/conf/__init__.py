"""Configuration: dataclass schemas, Hydra groups, validation and the command line around them."""
