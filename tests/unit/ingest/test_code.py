"""Source code in definitions."""

from __future__ import annotations

from ingest.code import read_code

SOURCE = """import os


# Says how many.
@cache
def days(name):
    first = 1

    return first


class Leave:
    total = 5

    def rest(self):
        return 3
"""


def test_a_definition_is_one_block_with_the_comment_that_leads_it() -> None:
    texts = [block.text.rstrip() for block in read_code(SOURCE)]
    assert texts[0] == "import os"
    assert texts[1].startswith("# Says how many.\n@cache\ndef days(name):")
    assert texts[1].endswith("\n    first = 1\n\n    return first")
    assert texts[2].startswith("class Leave:")
    assert texts[2].endswith("return 3")


def test_a_closing_bracket_belongs_to_what_it_closes() -> None:
    assert len(read_code("function f() {\n  a();\n\n}\n\nfunction g() {\n}\n")) == 2


def test_a_long_definition_is_cut_at_its_own_blank_lines() -> None:
    source = "def f():\n" + "\n\n".join(f"    step_{n} = {n}  # {'x' * 80}" for n in range(60))
    blocks = read_code(source)
    assert len(blocks) == 60
    assert "\n\n".join(block.text for block in blocks) == source
