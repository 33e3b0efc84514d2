"""Word documents made ready for partitioning: what a reader sees and the partitioner would leave out is put in its place.

That is: footnotes and endnotes, text boxes, content controls and insertions that are not yet accepted. Deletions and
the table of contents go.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.parser import OxmlElement
from lxml import etree

_DELETED = (qn("w:del"), qn("w:moveFrom"))
_WRAPPERS = (qn("w:ins"), qn("w:moveTo"), qn("w:smartTag"), qn("w:customXml"), qn("w:fldSimple"), qn("w:sdtContent"))
_WRAPPED = (qn("w:r"), qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc"), qn("w:hyperlink"), *_WRAPPERS, qn("w:sdt"))
_ALTERNATIVES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_INLINE = qn("wp:inline")
_TEXT_BOX = qn("w:txbxContent")
_NOTES = {qn("w:footnoteReference"): "footnote", qn("w:endnoteReference"): "endnote"}


def tidy_docx(data: bytes) -> bytes:
    """Return the document with everything that is read in its paragraphs and tables; as it was if all of it is."""
    document = docx.Document(io.BytesIO(data))
    body = document.element.body
    steps = (_resolve_changes(body), _unfold_boxes(body), _place_notes(document))
    if not any(steps):
        return data
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def _resolve_changes(body: etree._Element) -> bool:
    """Take deletions and the table of contents out; replace insertions, fields and content controls by what they hold."""
    changed = False
    for element in list(body.iter(*_DELETED)):
        if any(each.tag in _WRAPPED for each in element):  # not the mark of a deleted paragraph's end
            _drop(element)
            changed = True
    for control in list(body.iter(qn("w:sdt"))):
        gallery = control.find(f".//{qn('w:docPartGallery')}")
        contents = gallery is not None and gallery.get(qn("w:val")) == "Table of Contents"
        content = control.find(qn("w:sdtContent"))
        if contents or content is None:
            _drop(control)
        else:
            _replace(control, list(content))
        changed = True
    for element in list(body.iter(*_WRAPPERS)):
        if any(each.tag in _WRAPPED for each in element):
            _replace(element, [each for each in element if each.tag in _WRAPPED])
            changed = True
    return changed


def _unfold_boxes(body: etree._Element) -> bool:
    """Put a text box's paragraphs after the paragraph or table that it hangs on."""
    changed = False
    for box in list(body.iter(_TEXT_BOX)):
        # The same box once more, for old readers; or one that stands in the line, whose text the partitioner reads there.
        if any(each.tag in {_FALLBACK, _INLINE} for each in box.iterancestors()):
            continue
        block = _top_block(box, body)
        if block is None or any(each.tag == _TEXT_BOX for each in box.iterancestors()):
            continue
        content = [each for each in box if each.tag in {qn("w:p"), qn("w:tbl")}]
        drawing = next((each for each in box.iterancestors(_ALTERNATIVES, qn("w:drawing"), qn("w:pict"))), box)
        outer = next((each for each in drawing.iterancestors(_ALTERNATIVES)), drawing)
        _drop(outer)
        for each in reversed(content):
            block.addnext(each)
        changed = True
    return changed


def _place_notes(document: Document) -> bool:
    """Write a mark ``[1]`` where a note is referred to, and the note after that paragraph or table."""
    body = document.element.body
    references = list(body.iter(*_NOTES))
    texts = (
        {key: text for kind in set(_NOTES.values()) for key, text in _note_texts(document, kind)} if references else {}
    )
    last: dict[etree._Element, etree._Element] = {}
    number = 0
    for reference in references:
        text = texts.get((_NOTES[reference.tag], reference.get(qn("w:id"))), "")
        block = _top_block(reference, body)
        if not text or block is None:
            continue
        number += 1
        mark = OxmlElement("w:t")
        mark.text = f"[{number}]"
        _replace(reference, [mark])
        paragraph = OxmlElement("w:p")
        run = OxmlElement("w:r")
        words = OxmlElement("w:t")
        words.text = f"[{number}] {text}"
        run.append(words)
        paragraph.append(run)
        last.get(block, block).addnext(paragraph)
        last[block] = paragraph
    return number > 0


def _note_texts(document: Document, kind: str) -> Iterator[tuple[tuple[str, str | None], str]]:
    for relation in document.part.rels.values():
        if relation.is_external or not relation.reltype.endswith(f"/{kind}s"):
            continue
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        for note in etree.fromstring(relation.target_part.blob, parser).iter(qn(f"w:{kind}")):
            paragraphs = ("".join(part.text or "" for part in each.iter(qn("w:t"))) for each in note.iter(qn("w:p")))
            yield (kind, note.get(qn("w:id"))), " ".join(" ".join(paragraphs).split())


def _top_block(element: etree._Element, body: etree._Element) -> etree._Element | None:
    """The paragraph or table of the body that ``element`` lies in."""
    for each in element.iterancestors():
        if each.getparent() is body:
            return each
    return None


def _drop(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _replace(element: etree._Element, by: list[etree._Element]) -> None:
    parent = element.getparent()
    if parent is None:
        return
    place = parent.index(element)
    parent.remove(element)
    for offset, each in enumerate(by):
        parent.insert(place + offset, each)
