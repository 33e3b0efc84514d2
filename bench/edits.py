"""Edits: true and false sentences made from real documents, to measure a verifier on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from retrieval.sentences import split_sentences

_REWORDED = [
    ("must", "have to"), ("employees", "staff members"), ("employee", "staff member"),
    ("before", "prior to"), ("use", "make use of"), ("help", "assist"), ("may", "can"),
    ("about", "regarding"), ("need to", "have to"), ("ensure", "make sure"), ("begin", "start"),
    ("receive", "get"), ("provide", "give"), ("because", "since"), ("however", "but"),
    ("including", "such as"), ("in order to", "to"), ("such as", "like"), ("purchase", "buy"),
    ("several", "a number of"), ("also", "in addition"), ("should", "ought to"), ("request", "ask for"),
    ("approximately", "about"), ("users", "people who use it"), ("will", "is going to"),
    ("we", "the company"), ("don't", "do not"), ("can't", "cannot"), ("you're", "you are"),
    ("isn't", "is not"), ("within", "inside"), ("required", "needed"), ("information", "details"),
    ("large", "big"), ("contact", "get in touch with"),
]  # fmt: skip
_OPPOSITE = [
    ("before", "after"), ("after", "before"), ("increase", "decrease"), ("increased", "decreased"),
    ("minimum", "maximum"), ("all", "none"), ("always", "never"), ("first", "last"),
    ("allowed", "forbidden"), ("include", "exclude"), ("public", "private"), ("internal", "external"),
    ("more", "less"), ("high", "low"), ("higher", "lower"), ("start", "end"), ("required", "optional"),
    ("open", "close"), ("new", "old"), ("annual", "monthly"), ("weekly", "daily"), ("can", "cannot"),
    ("must", "need not"), ("larger", "smaller"), ("accept", "reject"), ("early", "late"),
    ("above", "below"), ("north", "south"), ("approve", "reject"),
]  # fmt: skip
_AUXILIARY = re.compile(r"\b(is|are|was|were|will|can|may|must|should|has|have|does|do)\b(?! not|n't)")
_DENIED = re.compile(r"\b(?:do|does|is|are|was|were|will|can|may|must|should|has|have)( not|n't)\b|\b(never) ")
_NUMBER = re.compile(r"(?<![\w.,/-])\d+(?:[.,]\d+)*(?![\w/-])")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*")
_WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {
    str(n): w for n, w in enumerate(["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=2)
}


def clean(markdown: str) -> str:
    """Drop front matter, links' targets and emphasis."""
    text = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[*`_]{1,3}|<[^>]+>|\{[^}]*\}", "", text)


def passages_of(text: str, size: int = 1000) -> list[str]:
    """Cut a text at blank lines into passages of about ``size`` characters."""
    found, current = [], ""
    for block in re.split(r"\n\s*\n", text):
        if current and len(current) + len(block) > size:
            found.append(current)
            current = ""
        current += block + "\n\n"
    return [*found, current]


def reworded(sentence: str, rng: random.Random) -> str:
    """Say the same in slightly other words:

    words exchanged, an aside or a last clause left out, an order changed.
    """
    pairs = rng.sample(_REWORDED, len(_REWORDED))
    done = 0
    for old, new in pairs:
        changed = re.sub(rf"\b{old}\b", new, sentence, count=1)
        if changed != sentence and done < 3:
            sentence, done = changed, done + 1
    sentence = re.sub(r"\s*\([^)]*\)", "", sentence)
    if rng.random() < 0.4 and (
        match := re.match(r"(If|When|While|For|In) ([^,]{10,80}), (.{20,})\.\Z", sentence, re.DOTALL)
    ):
        head = match[3][0].upper() + match[3][1:]
        sentence = f"{head} {match[1].lower()} {match[2]}."
    if rng.random() < 0.4 and (
        match := re.match(r"(.{40,}?)(?:, (?:which|who|including|such as)|; | [–—] ).*\Z", sentence, re.DOTALL)
    ):
        sentence = match[1].rstrip(",;") + "."
    for digit, word in _DIGITS.items():
        sentence = re.sub(rf"(?<![\w.,$])\b{digit}\b(?![.,]?\d|%)", word, sentence)
    return sentence


def _number(sentence: str, other: str, rng: random.Random) -> str | None:
    places = list(_NUMBER.finditer(sentence))
    if not places:
        return None
    place = rng.choice(places)
    others = [m.group() for m in _NUMBER.finditer(other) if m.group() not in sentence]
    value = float(place.group().replace(",", "")) if place.group().count(".") < 2 else 1.0
    new = rng.choice(others) if others and rng.random() < 0.6 else f"{value * rng.choice([2, 3]) + 1:g}"
    return sentence[: place.start()] + new + sentence[place.end() :]


def _name(sentence: str, other: str, rng: random.Random) -> str | None:
    places = list(_NAME.finditer(sentence))
    others = sorted({m.group() for m in _NAME.finditer(other)} - {p.group() for p in places})
    if not places or not others:
        return None
    old, new = rng.choice(places).group(), rng.choice(others)
    return None if new in sentence or old in new else sentence.replace(old, new)


def _negation(sentence: str, _other: str, _rng: random.Random) -> str | None:
    if match := _DENIED.search(sentence):
        group = 1 if match[1] else 2
        return sentence[: match.start(group)] + sentence[match.end(group) :]
    found = _AUXILIARY.search(sentence)
    return sentence[: found.end()] + " not" + sentence[found.end() :] if found else None


def _opposite(sentence: str, _other: str, rng: random.Random) -> str | None:
    for old, new in rng.sample(_OPPOSITE, len(_OPPOSITE)):
        if re.search(rf"\b{old}\b", sentence):
            return re.sub(rf"\b{old}\b", new, sentence, count=1)
    return None


def _clause(sentence: str, other: str, rng: random.Random) -> str | None:
    """Go on with the end of another sentence."""
    ends = [
        m
        for s in split_sentences(other)
        if (m := re.search(r"\b(?:to|for|with|by|and|in) .{15,70}\.\Z", other[s.start : s.end]))
    ]
    return sentence.rstrip(".") + " " + rng.choice(ends).group() if ends else None


def edited_examples(
    documents: Sequence[Path], limit: int, rng: random.Random
) -> Iterator[tuple[str, tuple[str, ...], str, bool]]:
    """Yield (kind of edit, passages, response, whether it is still true), about as many true as false."""
    texts = [clean(path.read_text(encoding="utf-8", errors="replace"))[:60_000] for path in documents]
    texts = [text for text in texts if len(text) > 3000]
    edits = {
        "number": _number,
        "name": _name,
        "negation": _negation,
        "opposite": _opposite,
        "clause": _clause,
    }
    made = 0
    while made < limit:
        text = rng.choice(texts)
        passages = passages_of(text)
        home = rng.randrange(len(passages))
        sentences = [passages[home][s.start : s.end] for s in split_sentences(passages[home])]
        usable = [s for s in sentences if s.endswith(".") and "|" not in s and 50 < len(s) < 260 and s[0].isupper()]
        if len(usable) < 2:
            continue
        shown = tuple(rng.sample([passages[home], *rng.sample(passages, min(3, len(passages)))], min(4, len(passages))))
        if passages[home] not in shown:
            shown = (passages[home], *shown[1:])
        made += 1
        position = rng.randrange(len(usable))
        base = " ".join(usable[position].split())
        true = reworded(base, rng)
        second = " ".join(usable[position - 1].split())
        merged = rng.random()
        if merged < 0.15:
            true = f"{true} {reworded(second, rng)}"
        elif merged < 0.25:
            true = f"{true.rstrip('.')}, and {second[0].lower()}{second[1:]}"
        yield "true", shown, true, True
        kind = rng.choice([*edits, "elsewhere"])
        other = rng.choice(passages)
        if kind == "elsewhere":
            foreign = passages_of(rng.choice(texts))[0]
            spans = [foreign[s.start : s.end] for s in split_sentences(foreign)]
            spans = [s for s in spans if 50 < len(s) < 260 and s not in text]
            false = " ".join(rng.choice(spans).split()) if spans else None
        else:
            start = base if rng.random() < 0.5 else reworded(base, rng)
            false = edits[kind](start, other, rng)
        if false and (kind != "clause" or " ".join(false.split()) not in " ".join(text.split())):
            if merged < 0.15 and rng.random() < 0.5:
                false = f"{reworded(second, rng)} {false}"
            yield kind, shown, false, False
