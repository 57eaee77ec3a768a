"""The files of the output folder and the exports."""
