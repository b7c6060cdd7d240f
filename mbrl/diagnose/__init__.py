"""Tools that look at finished runs and change none."""
