"""A device model in place of a clock: what a rewritten graph would take on a profiled device."""
