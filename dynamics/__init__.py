"""Transition models that a policy can be rolled out in."""
