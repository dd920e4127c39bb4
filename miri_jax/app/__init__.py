"""The two commands: their settings, a run, its results."""
