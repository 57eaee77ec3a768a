"""The process on the target and the tuner's side of the conversation with it."""
