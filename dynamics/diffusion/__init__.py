"""Diffusion models of trajectory segments, sampled under the guidance of a (joint) policy."""
