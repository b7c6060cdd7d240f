"""The figures and tables of the edge-of-reach paper, rerun at a stated scale."""
