"""Lists of op types, rule sets of the real passes, and their environment variables."""
