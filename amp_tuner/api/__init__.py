"""The Python API: runs of studies and their results, below the command line."""
