"""Offline data: files, Minari, arrays and our own collection, all as one record of transitions."""
