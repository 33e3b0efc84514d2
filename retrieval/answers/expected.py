"""Whether a text holds the kind of thing that a question asks for: a number, a sum, a time, a person, a
place.
"""

from __future__ import annotations

import re

from retrieval.answers.question import Expects, Question
from retrieval.answers.windows import Window
from retrieval.terms import stem

_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|"
    r"twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|half|third|"
    r"quarter|dozen|once|twice|"
    r"single|double|tenth|no|none|zero|every|all|both|several|unlimited)"
)
_NUMBER = re.compile(rf"(?i)\d|\b{_NUMBER_WORD}\b")
# A number and a word that is no measure of something else is taken for a sum: currencies are too many,
# and invented, to be listed.
_NOT_MONEY = (
    r"(?:second|minute|hour|day|night|week|fortnight|month|quarter|year|decade|time|person|people|guest|"
    r"visitor|employee|item|page|piece|copy|copies|book|"
    r"litre|liter|metre|meter|gram|kilo\w*|tonne|ton|degree|character|digit|word|space|seat|bed|room|"
    r"member|student|request|event|level|step|of|and|or|to|in|at|on|"
    r"am|pm|january|february|march|april|may|june|july|august|september|october|november|december|"
    r"working|business|calendar|paid|hot)s?\b"
)
_MONEY = re.compile(
    rf"(?i)[$€£¥₹%]|\d[\d,.]*\s*(?:percent|per cent|[kKmM]\b|million|billion|"
    rf"(?!{_NOT_MONEY})[a-z]{{3,}})|\b(?:eur|usd|gbp|chf|cad|aud|jpy)\b|"
    r"\b(?:dollar|euro|pound|cent|pence|penny|franc|crown)s?\b|\b(?:free|no charge|included|unpaid|half|"
    r"double|no cost)\b"
)
_TIME = re.compile(
    r"(?i)\b(?:jan(?:uary)?|feb(?:ruary)?|march|april|may|june|july|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|"
    r"monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekday|weekend|today|tomorrow|noon|"
    r"midnight|morning|afternoon|evening|"
    r"night|spring|summer|autumn|fall|winter|christmas|easter|quarter|annual\w*|year\w*|month\w*|week\w*|"
    r"day|days|daily|hour\w*|minute\w*|"
    r"second|immediately|before|after|until|once|during|within|upon|when|as soon as|at the end|date|"
    r"deadline|always|never|closed)\b|"
    r"\d{1,2}[:.]\d{2}|\b(?:1[5-9]|20)\d{2}\b|\d{1,2}/\d{1,2}|\b\d{1,2}\s?[ap]\.?m\b"
)
_DURATION = re.compile(
    r"(?i)\b(?:second|minute|hour|day|night|week|fortnight|month|quarter|year|decade)s?\b|\b(?:daily|"
    r"weekly|monthly|quarterly|yearly|annual\w*|"
    r"once|twice|every|immediately|permanent\w*|indefinite\w*|always|never|until|from|within)\b|"
    r"\d\s*(?:ms|s|min|h|km/h|mph)\b"
)
_PERSON = re.compile(
    r"(?:\b|[.])(?!(?:The|A|An|It|This|That|If|In|On|At|For|To|All|You|We|They|Each|Every|"
    r"No)\b)[A-Z][a-z]+\b|@|(?i:\b(?:manager|director|lead|leader|officer|"
    r"head|chief|team|desk|department|committee|board|doctor|nurse|sister|owner|president|secretary|"
    r"engineer|employee|staff|member|customer|visitor|guest|parent|"
    r"student|driver|supervisor|administrator|admin|assistant|agent|council|office|partner|anyone|"
    r"everyone|nobody|someone|people|person|who|user|buyer|clerk|"
    r"contractor|supplier|lawyer|counsel|author|researcher|\w+(?:er|or|ist|ant)s?)\b)"
)
_PLACE = re.compile(
    r"(?i)\b(?:in|at|on|near|behind|beside|opposite|above|below|under|between|inside|outside|through|"
    r"into|onto|to|from|via|by|next to|room|floor|building|"
    r"https?|www)\b|@"
)
_REASON = re.compile(
    r"(?i)\b(?:because|since|so that|so as|as a result|due to|owing to|thanks to|reasons?|caused?|"
    r"therefore|hence|thus|why|in order|for fear|"
    r"otherwise|to (?:avoid|prevent|protect|keep|make|ensure|reduce|help|give|allow|save)|led to|"
    r"leads to|that is how|explains?|purpose|"
    r"means that|as (?:it|they|he|she|we|the|this)|for (?:this|that))\b|[:;]"
)
_PATTERNS = {
    Expects.NUMBER: _NUMBER,
    Expects.MONEY: _MONEY,
    Expects.TIME: _TIME,
    Expects.DURATION: _DURATION,
    Expects.PERSON: _PERSON,
    Expects.PLACE: _PLACE,
    Expects.REASON: _REASON,
}
_N = r"\d[\d,.]*\s?"
_SPEED = (
    rf"{_N}(?:km/h|kph|mph|m/s|knots?|km per|kilomet\w+ (?:an|per)|miles? (?:an|per)|[GMk]?b(?:it|ps)|rpm|Hz|ms\b)|"
    r"\b(?:minute|second|hour|day|week)s?\b"
)
_LENGTH = (
    rf"{_N}(?:[mck]?m\b|met(?:re|er)s?|kilomet\w+|millimet\w+|centimet\w+|feet|foot|ft|inch\w*|in\b|\"|"
    r"miles?|yards?|km\b|nm\b)"
)
# What is measured, by the word that asks for it, and the units that measure it.
_DIMENSIONS: tuple[tuple[str, str, str], ...] = (
    ("loud noise noisy decibel sound", r"\bhow (?:loud|noisy)\b|\bnoise level\b", rf"{_N}(?:dB|decibels?)"),
    (
        "altitude elevation height high tall",
        r"\bhow (?:high|tall)\b|\b(?:altitude|elevation|height)\b",
        _LENGTH,
    ),
    (
        "wide width deep depth long length far distance",
        r"\bhow (?:wide|deep|far|thick)\b|\b(?:width|depth|distance|thickness)\b",
        _LENGTH,
    ),
    (
        "weigh weight heavy mass",
        r"\bhow heavy\b|\bhow much \w+( \w+)? weighs?\b|\bweigh(?:t|s)?\b",
        rf"{_N}(?:[km]?g\b|kilo\w*|grams?|tonn?e?s?\b|lbs?\b|pounds?|ounces?|oz\b)",
    ),
    (
        "hot cold warm temperature",
        r"\bhow (?:hot|cold|warm)\b|\btemperature\b",
        rf"{_N}(?:°|º|degrees?|K\b|C\b|F\b)|minus \d",
    ),
    (
        "fast speed",
        r"\bspeed\b|\bhow fast (?:is|are|may|can|does|do)\b",
        _SPEED,
    ),
    (
        "old age",
        r"\bhow old\b|\bwhat age\b|\bminimum age\b",
        rf"{_N}(?:years?|months?)?\b|\b(?:18|19|20)\d\d\b|\b(?:teen|under|over|aged?)\b",
    ),
    (
        "percentage percent share proportion",
        r"\bpercentage\b|\bwhat percent\b|\bproportion\b",
        r"%|\bper ?cent\b|\b(?:half|third|quarter|all|none)\b",
    ),
    (
        "litre liter water fuel volume",
        r"\bhow many (?:litres|liters|gallons)\b|\bhow much (?:water|fuel)\b",
        rf"{_N}(?:l\b|ml\b|lit(?:re|er)s?|gallons?|m³|cubic)",
    ),
    ("email address mail", r"\be-?mail address\b", r"@"),
)
_COMPILED = tuple(
    (frozenset(stem(w) for w in names.split()), re.compile(f"(?i){asks}"), re.compile(f"(?i){units}"))
    for names, asks, units in _DIMENSIONS
)
_BESIDE = 0.5


def holds_expected(question: Question, window: Window) -> float:
    """1 where the sentence holds what is asked for, 0.5 where its neighbours do, 0 where neither does; 1 if
    nothing special is.
    """
    measure = _measure(question)
    pattern = measure[1] if measure else _PATTERNS.get(question.expects)
    if pattern is None or pattern.search(window.text):
        return 1.0
    return _BESIDE if pattern.search(f"{window.lead_text} {window.next_text}") else 0.0


def measured_stems(question: Question, window: Window) -> frozenset[str]:
    """Stems of the words for what is measured ("altitude", "loud"), where the sentence holds a quantity in
    its unit.
    """
    measure = _measure(question)
    return measure[0] if measure and measure[1].search(window.text) else frozenset()


def _measure(question: Question) -> tuple[frozenset[str], re.Pattern[str]] | None:
    return next(((names, units) for names, asks, units in _COMPILED if asks.search(question.text)), None)
