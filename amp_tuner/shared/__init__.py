"""A study that several machines work on: what they tell each other, in one database.

Optuna's own tables hold what samplers learn from; the tables of this folder hold which study it is,
whole trials, who is at work, and who measures which graph. Nothing here knows Optuna or TensorFlow.
"""
