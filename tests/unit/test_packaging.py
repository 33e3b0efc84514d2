"""What is installed: one build of FAISS at most, no CUDA through the back door, the same versions for everyone."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_each_faiss_build_is_in_its_own_extra_and_nowhere_else() -> None:
    holders = {
        extra: names(needs) & {"faiss-cpu", "faiss-gpu"} for extra, needs in PROJECT["optional-dependencies"].items()
    }
    assert {extra: found for extra, found in holders.items() if found} == {"cpu": {"faiss-cpu"}, "gpu": {"faiss-gpu"}}
    assert not names(PROJECT["dependencies"]) & {"faiss-cpu", "faiss-gpu"}


def test_this_environment_has_exactly_one_faiss_and_no_torchvision() -> None:
    installed = {(d.metadata["Name"] or "").lower() for d in metadata.distributions()}
    assert len(installed & {"faiss-cpu", "faiss-gpu"}) == 1
    assert "torchvision" not in installed


@pytest.mark.parametrize(
    "extra", [None, "cpu", "postgres", "bench", "s3", "gcs", "azure", "sftp", "connectors", "ray", "dev"]
)
def test_every_requirement_is_pinned_for_everyone(extra: str | None) -> None:
    wanted = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    pinned = names([line for line in CONSTRAINTS.splitlines() if "==" in line])
    # The commit hooks' runner is no part of what is tested.
    assert names(wanted) - pinned - {"pre-commit"} == set()


def test_the_pinned_torch_is_the_one_that_make_installs() -> None:
    script = (ROOT / "infra/install.sh").read_text(encoding="utf-8")
    version = re.search(r"^torch=(\S+)$", script, re.MULTILINE)
    assert version is not None
    assert f"\ntorch=={version.group(1)}\n" in CONSTRAINTS
