"""Writes the pages of docs/reference that say what the code itself says: ``make reference``.

Study file, verbs, exit codes and variables come from the classes, parsers and tables that the
program runs with, so a page and the program cannot differ. tests/docs holds the pages to them.
"""
