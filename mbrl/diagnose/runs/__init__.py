"""Reports over many runs: found below folders, grouped by configuration, in tables, pictures and one page."""
