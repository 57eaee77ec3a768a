"""The target's side of a study: its workers, and how a setting is measured on them."""
