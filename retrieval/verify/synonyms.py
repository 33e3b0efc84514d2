"""Synonyms: words that say the same in the language of rules, work and money."""

from __future__ import annotations

from functools import lru_cache

from retrieval.terms import stem

# One group a line. Words of a group are exchangeable in most sentences about rules, work, money and time.
_GROUPS = """
employee staff worker personnel workforce
accrue earn gain accumulate
receive get obtain acquire
lapse expire
cost price fee charge
pay remunerate
salary wage compensation
begin start commence
end finish conclude terminate
buy purchase procure
sell vend
help assist aid
show display
need require
let allow permit authorize authorise
holiday vacation
leave absence
sick ill illness sickness
doctor physician
car vehicle automobile
child kid
job position role post
build construct
repair fix mend
send submit
ask request
choose select pick
give provide supply offer grant
keep retain
store save
remove delete erase
change modify alter amend
show indicate
use utilize utilise
annual yearly
approve authorize
notify inform alert tell
supervisor manager boss
customer client
firm company corporation organization organisation
near close
large big
fast quick rapid
error mistake
illegal unlawful
refund reimburse repay
insure cover
begin launch
reply respond answer
happen occur
important significant crucial
contain include comprise
immediate instant
maximum most
minimum least
often frequent
film movie
author writer
picture photo photograph image
house home residence
phone telephone
tv television
kill murder
marry wed
college university
purpose aim goal objective
injury wound
attempt try
discover find
create make produce
live reside
located situated based
famous renowned well-known
also additionally
call name title
area region
country nation
increase rise grow
decrease fall drop decline reduce
document file
rule regulation
agreement contract
deadline due
guest visitor
meal food
daily day
weekly week
monthly month
yearly year annual
hourly hour
"""


@lru_cache(maxsize=1)
def _canonical() -> dict[str, str]:
    """Map each stem to its group's first stem. A word of several groups stays with its first."""
    table: dict[str, str] = {}
    for line in _GROUPS.strip().splitlines():
        stems = [stem(word) for word in line.split()]
        head = table.get(stems[0], stems[0])
        for each in stems:
            table.setdefault(each, head)
    return table


@lru_cache(maxsize=1 << 16)
def canonical(word_stem: str) -> str:
    """Return one stem that stands for all synonyms of ``word_stem``."""
    return _canonical().get(word_stem, word_stem)
