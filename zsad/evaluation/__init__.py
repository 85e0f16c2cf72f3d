"""The evaluation protocol: planning, running, keeping and showing results."""
