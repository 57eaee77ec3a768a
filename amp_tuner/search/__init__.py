"""The Optuna study: which setting is measured next."""
