"""What the hot paths cost: timed against a naive reference, other libraries, and the machine's own limit."""
