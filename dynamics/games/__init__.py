"""Polynomial games: one-step worlds of several agents whose optimum and gradients are exact."""
