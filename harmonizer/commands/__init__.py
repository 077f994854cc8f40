"""The commands of the command line, by subject; what needs torch they import when they run."""
