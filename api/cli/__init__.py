"""The command line: ``footnote``."""

from api.cli.main import main

__all__ = ["main"]
