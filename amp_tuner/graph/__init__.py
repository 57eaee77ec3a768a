"""A graph as a pass sees it, as plain data."""
