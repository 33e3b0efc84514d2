"""The command line: ``footnote``."""
