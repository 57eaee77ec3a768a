"""Painting: which type attributes become 16-bit, where Casts stand, and why."""
