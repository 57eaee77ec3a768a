"""The study file, validated."""
