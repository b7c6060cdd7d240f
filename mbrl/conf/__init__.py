"""Typed configuration: schemas and presets."""
