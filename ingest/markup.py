"""Markdown and HTML made ready for partitioning: what a reader sees stays, what only a browser needs goes."""

from __future__ import annotations

import re
from typing import Any

import yaml
from lxml import etree, html
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from infra.errors import Unprocessable
from ingest.footnotes import place_footnotes
from ingest.tree import replace_by_text, text_before

# CommonMark with tables and footnotes. Python-Markdown, which the parsing library uses, flattens lists nested by two
# spaces and takes a list that follows a paragraph directly for a part of it. The preset would drop an eleventh level.
_MARKDOWN = MarkdownIt("commonmark", {"maxNesting": 100}).enable(["table", "strikethrough"]).use(footnote_plugin)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# Lines of site generators: {% include x %}, {: .class}, {::nomarkdown}.
_TEMPLATE_LINE = re.compile(r"^[ \t]*(?:\{%.*?%\}|\{:.*?\})[ \t]*$", re.MULTILINE)
_TEMPLATE_TAG = re.compile(r"\{%-?\s(?:(?!\{%)[^\n])*?%\}")
_FENCED = re.compile(r"^([ \t]*)(```+|~~~+).*?(?:^\1\2|\Z)", re.MULTILINE | re.DOTALL)

# Elements that the partitioner drops although a reader sees (or can open) them.
_SHOWN_AS = {
    "details": "div",
    "summary": "p",
    "figure": "div",
    "figcaption": "p",
    "form": "div",
    "label": "span",
}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_FILE_NAME = re.compile(r"\S+\.\w{2,4}\Z")
_MARKER_WIDTH = 12
_DEEPEST = 200  # levels; the partitioner reads 256


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Part a Markdown file's YAML front matter from its body; no front matter, or a broken one, gives an empty dict."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (found := _FRONT_MATTER.match(text)) is None:
        return {}, text
    try:
        meta = yaml.safe_load(found.group(1))
    except (yaml.YAMLError, ValueError, RecursionError):
        meta = None
    # A rule of dashes around prose is no front matter.
    return (meta, text[found.end() :]) if isinstance(meta, dict) else ({}, text)


def markdown_to_html(text: str) -> str:
    """Render CommonMark with tables; site generators' template tags outside code are left out."""
    kept: list[str] = []
    position = 0
    for code in _FENCED.finditer(text):
        kept += [_without_templates(text[position : code.start()]), code.group()]
        position = code.end()
    kept.append(_without_templates(text[position:]))
    return str(_MARKDOWN.render("".join(kept)))


def _without_templates(text: str) -> str:
    return _TEMPLATE_TAG.sub("", _TEMPLATE_LINE.sub("", text))


def tidy_html(markup: str) -> tuple[str, str | None]:
    """Return ``markup`` ready for partitioning, and its ``<title>``.

    Hidden elements are removed; folded ones, figures and forms are kept; ordered items get their numbers;
    an image gives way to its description, footnotes stand where they are referred to, and 10 to the 6th is not
    106. Raises ``Unprocessable`` where nothing can be parsed.
    """
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, huge_tree=True)
    try:
        root = html.document_fromstring(markup.encode("utf-8"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise Unprocessable("The file holds no readable HTML.", code="malformed") from error
    if any("depth" in error.message for error in parser.error_log):
        raise Unprocessable(
            "The file is nested too deeply: its elements lie over 2,000 deep in each other.", code="malformed"
        )
    _flatten(root)
    heading = root.find(".//title")
    title = " ".join(heading.itertext()).strip() if heading is not None else ""
    place_footnotes(root)
    for element in list(root.iter(etree.Element)):
        if element.tag is etree.ProcessingInstruction or not isinstance(element.tag, str):
            continue
        if _is_hidden(element):
            replace_by_text(element, "")
        elif element.tag == "img":
            replace_by_text(element, _description(element.get("alt") or ""))
        elif element.tag == "a" and "headerlink" in (element.get("class") or ""):
            replace_by_text(element, "")
        elif element.tag == "li":
            _mark_item(element)
        elif element.tag == "sup":
            _mark_power(element)
        else:
            _show(element)
    return etree.tostring(root, encoding="unicode", method="html"), title or None


def _show(element: etree._Element) -> None:
    if (shown := _SHOWN_AS.get(str(element.tag))) is not None:
        element.tag = shown


def _flatten(root: etree._Element) -> None:
    """Take the tags from around what is nested deeper than the partitioner's parser goes, which cuts it off unsaid."""
    depths = {root: 1}
    for element in root.iterdescendants():
        parent = element.getparent()
        depths[element] = depths[parent] + 1 if parent is not None else 1
    for element in reversed([each for each, depth in depths.items() if depth > _DEEPEST]):
        if isinstance(element, html.HtmlElement):
            element.tail = f"\n{element.tail or ''}"
            element.drop_tag()


def _is_hidden(element: etree._Element) -> bool:
    return element.getparent() is not None and (
        element.get("hidden") is not None or _HIDDEN_STYLE.search(element.get("style") or "") is not None
    )


def _description(alt: str) -> str:
    """An image's description if it is words, not a file's name or a single label."""
    alt = alt.strip()
    return f" {alt} " if " " in alt and not _FILE_NAME.search(alt) else ""


def _mark_power(element: etree._Element) -> None:
    text = (element.text or "").strip()
    if text[:1].isdigit() and text_before(element)[-1:].isdigit():
        element.text = f"^{text}"


def _mark_item(item: etree._Element) -> None:
    """Write an ordered item's number before its text, and keep its first paragraph in one piece with it."""
    parent = item.getparent()
    first = item[0] if len(item) and not (item.text or "").strip() else None
    if first is not None and first.tag == "p":
        first.tag = "span"
    if parent is None or parent.tag != "ol":
        return
    number = str(item.get("value") or _position(parent, item))
    if len(number) < _MARKER_WIDTH:
        item.text = f"{number}. {(item.text or '').lstrip()}"


def _position(parent: etree._Element, item: etree._Element) -> int:
    start = str(parent.get("start") or "1")
    first = int(start) if start.isascii() and start.isdigit() else 1
    before = item.getprevious()
    while before is not None:
        first += before.tag == "li"
        before = before.getprevious()
    return first
