"""Studies whose device cannot be reached from here: proposals go there as files, results return."""
