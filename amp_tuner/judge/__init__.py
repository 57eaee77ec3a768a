"""Metrics, the accuracy goal, and the Pareto front with certainty."""
