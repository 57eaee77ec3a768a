"""The output folder: whose study it holds, what may be written, what is read back."""
