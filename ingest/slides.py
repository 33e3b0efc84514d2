"""PowerPoint files made ready for partitioning: speakers' notes apart, and without what is the same on every slide."""

from __future__ import annotations

import io

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER

_RUNNING = {PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.HEADER}


def tidy_pptx(data: bytes) -> tuple[bytes, dict[int, str]]:
    """Return the file without dates, footers and slide numbers, and the notes by 1-based slide number."""
    deck = pptx.Presentation(io.BytesIO(data))
    notes: dict[int, str] = {}
    changed = False
    for number, slide in enumerate(deck.slides, 1):
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            notes[number] = slide.notes_slide.notes_text_frame.text
        for shape in [each for each in slide.placeholders if each.placeholder_format.type in _RUNNING]:
            shape._element.getparent().remove(shape._element)
            changed = True
    if not changed:
        return data, notes
    target = io.BytesIO()
    deck.save(target)
    return target.getvalue(), notes
