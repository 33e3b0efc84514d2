"""The language pipeline that document parsing asks two small things of: how many sentences, and is there a
verb.

The parsing library would download a trained model for these at its first paragraph. If that model is
installed it is used; otherwise this rule-based pipeline, which needs no file and no network, takes its
place.
"""

from __future__ import annotations

import re

import spacy
from spacy.language import Language
from spacy.tokens import Doc

MODEL = "en_core_web_sm"
_VERB_WORDS = """
am are be been being is was were do does did done doing has have had having can could may might must
shall should will would go goes went get gets got make makes made take takes took give gives gave
see sees saw know knows knew come comes came say says said find finds found keep keeps kept let lets
put puts use uses need needs want wants work works help helps ask asks tell tells told show shows
send sends sent write writes wrote read reads run runs ran pay pays paid hold holds held apply
applies include includes provide provides require requires ensure follow follows contact contain
contains become becomes agree agrees allow allows begin begins bring brings call calls choose create
creates enter happen happens leave leaves live lives mean means receive receives remain remains
submit think thinks understand
"""
_VERBS = frozenset(_VERB_WORDS.split())
_ENDING = re.compile(r"[a-z]{3,}(?:ed|ing|ize|ise|izes|ises|ify|ifies)$")


@Language.component("verb_rules")
def _verb_rules(doc: Doc) -> Doc:
    for token in doc:
        word = token.lower_
        token.tag_ = "VB" if word in _VERBS or _ENDING.match(word) else "NN"
    return doc


def load_pipeline() -> Language:
    """The trained English model if it is installed, else the rule-based one."""
    if spacy.util.is_package(MODEL):
        return spacy.load(MODEL, exclude=["ner", "lemmatizer", "attribute_ruler"])
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.add_pipe("verb_rules")
    return pipeline
