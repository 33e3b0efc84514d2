"""Fixtures of all rings."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the fixtures' modules lie beside this file, and are no package

pytest_plugins = ["model_server", "scripted_server", "service", "databases", "clients"]
