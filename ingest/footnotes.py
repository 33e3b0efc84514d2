"""Footnotes of HTML, put where they are read: a mark ``[1]`` in the text, and the note after its paragraph.

At the end of the document a note would be found without the sentence that it qualifies, and that sentence without
its note. Markdown, RST, Org, RTF, ODT and EPUB come through here; Word's notes are placed alike in ``ingest.word``.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from ingest.tree import replace_by_text

_BLOCKS = {
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "li",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "blockquote",
    "pre",
    "table",
} | {*("thead", "tbody", "tr", "td", "th", "caption", "figure")}


def place_footnotes(root: etree._Element) -> None:
    """Move the notes of a ``<section class="footnotes">`` behind the blocks that refer to them."""
    sections = [each for each in root.iter("section", "aside") if "footnotes" in _classes(each)]
    notes: dict[str, tuple[int, etree._Element]] = {}
    for number, note in enumerate((item for section in sections for item in section.iter("li")), 1):
        if name := note.get("id"):
            notes[str(name)] = (number, note)
    if not notes:
        return
    for section in sections:
        for link in list(section.iter("a")):
            if _classes(link) & {"footnote-back", "footnote-backref"}:
                replace_by_text(link, "")
    last: dict[etree._Element, etree._Element] = {}
    placed: set[str] = set()
    for link, name in list(_references(root, notes)):
        number, note = notes[name]
        block = _block(link)
        mark = link.getparent()
        replace_by_text(mark if mark is not None and mark.tag == "sup" else link, f"[{number}]")
        if block is None or name in placed:
            continue
        placed.add(name)
        paragraph = etree.Element("p")
        paragraph.text = f"[{number}] {' '.join(' '.join(str(part) for part in note.itertext()).split())}"
        last.get(block, block).addnext(paragraph)
        last[block] = paragraph
    for name in placed:
        replace_by_text(notes[name][1], "")
    for section in sections:
        if next(section.iter("li"), None) is None:
            replace_by_text(section, "")


def _references(
    root: etree._Element, notes: dict[str, tuple[int, etree._Element]]
) -> Iterator[tuple[etree._Element, str]]:
    for link in root.iter("a"):
        name = str(link.get("href") or "")[1:]
        if name in notes and not any("footnotes" in _classes(each) for each in link.iterancestors()):
            yield link, name


def _block(element: etree._Element) -> etree._Element | None:
    """The outermost paragraph, list or table around ``element``."""
    found = None
    for each in element.iterancestors():
        if each.tag in _BLOCKS:
            found = each
    return found


def _classes(element: etree._Element) -> set[str]:
    return set(str(element.get("class") or "").split())
