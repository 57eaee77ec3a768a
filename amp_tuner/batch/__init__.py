"""Many studies, one after the other on this machine: their shares of the time, and one summary."""
