"""External ids: anything a caller uses as a name, within limits."""

from __future__ import annotations

import pytest

from infra.errors import InvalidInput
from ingest.document import check_external_id


@pytest.mark.parametrize("name", ["a", "a/b c.md", "ä😀", "x" * 1024, "..", " "])
def test_good_ids(name: str) -> None:
    assert check_external_id(name) == name


@pytest.mark.parametrize("name", ["", "x" * 1025, "a\nb", "a\x00", "\x7f", "tab\t"])
def test_bad_ids(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_external_id(name)
    assert caught.value.code == "invalid_external_id"
    assert [error.field for error in caught.value.errors] == ["external_id"]
