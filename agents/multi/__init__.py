"""Learners for several agents with a shared reward, from joint data."""
