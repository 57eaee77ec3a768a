"""Pages for people: drawings of graphs."""
