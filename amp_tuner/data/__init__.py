"""The user's samples and functions: read, checked against the model, cut in two."""
