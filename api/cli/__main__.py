"""``python -m api.cli``: the same as ``footnote``."""

from api.cli.main import main

main()
