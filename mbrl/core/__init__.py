"""The vocabulary every other package speaks: types, errors, seeds, stacked networks, maths, persistence."""
