"""Rollouts, sources, the training loop, evaluation: what joins data, models and agents."""
