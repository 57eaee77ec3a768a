"""Options of every verb, with the help that users read; one module for each kind of verb."""
