"""Which paragraphs of a Word document are headings, by their styles: the partitioner only says "title" or not."""

from __future__ import annotations

import io
import re

import docx
from docx.text.paragraph import Paragraph

from ingest.title import NO_TITLES

_NUMBER = re.compile(r"^(?:[\dA-Z]{1,3}(?:\.\d+)*[.)]?)\s+")
_HEADING_NAME = re.compile(r"heading (\d)$", re.IGNORECASE)
_BOLD_WORDS = 12


def _key(text: str) -> str:
    return " ".join(text.split())


class HeadingStyles:
    """The headings of a Word document and its title property.

    A paragraph is a heading by its style (``Heading 1``, ``Title``), by its outline level, or by being
    short and wholly bold, which makes it the deepest.
    """

    def __init__(self, data: bytes) -> None:
        document = docx.Document(io.BytesIO(data))
        title = document.core_properties.title.strip()
        self.title = None if title.lower() in NO_TITLES else title or None
        levels: dict[str, int] = {}
        bold: list[str] = []
        titled = False
        for paragraph in document.paragraphs:
            text = _key(paragraph.text)
            if not text:
                continue
            level = _style_level(paragraph)
            titled = titled or level == 0
            if level is not None:
                levels.setdefault(text, level)
            elif _is_bold(paragraph) and len(text.split()) <= _BOLD_WORDS and text[-1] not in ".,;:!?":
                bold.append(text)
        if titled:
            levels = {text: level + 1 for text, level in levels.items()}
        deepest = max(levels.values(), default=0)
        self._levels = {**dict.fromkeys(bold, deepest + 1), **levels}

    def level(self, text: str) -> int | None:
        """The level of the heading ``text``, with or without its automatic number; None if it is none."""
        key = _key(text)
        found = self._levels.get(key)
        return found if found is not None else self._levels.get(_NUMBER.sub("", key))


def _style_level(paragraph: Paragraph) -> int | None:
    """0 for the title, 1..9 for a heading, None for other text."""
    own = paragraph._p.xpath("./w:pPr/w:outlineLvl/@w:val")
    if own and own[0].isdigit() and int(own[0]) < 9:
        return int(own[0]) + 1
    style = paragraph.style
    while style is not None:
        name = (style.name or "").lower()
        if name == "title":
            return 0
        if found := _HEADING_NAME.match(name):
            return int(found.group(1))
        outline = style.element.xpath("./w:pPr/w:outlineLvl/@w:val")
        if outline and outline[0].isdigit() and int(outline[0]) < 9:
            return int(outline[0]) + 1
        style = getattr(style, "base_style", None)
    return None


def _is_bold(paragraph: Paragraph) -> bool:
    runs = [run for run in paragraph.runs if run.text.strip()]
    return bool(runs) and all(run.bold for run in runs)
