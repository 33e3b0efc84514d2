"""Changes to an HTML tree that keep its text in order."""

from __future__ import annotations

from lxml import etree


def replace_by_text(element: etree._Element, text: str) -> None:
    """Take ``element`` out, leaving what follows it, and ``text`` in its place."""
    parent, tail = element.getparent(), text + (element.tail or "")
    if parent is None:
        return
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def text_before(element: etree._Element) -> str:
    """The text that stands directly before ``element``, in its parent."""
    before, parent = element.getprevious(), element.getparent()
    if before is not None:
        return str(before.tail or "")
    return str(parent.text or "") if parent is not None else ""
