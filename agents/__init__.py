"""Learners: one SAC spine, and one small file for each that differs."""
