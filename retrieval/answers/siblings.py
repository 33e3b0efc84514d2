"""Siblings: words of one kind that are not each other. What a page says of the one, it does not say of the
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from retrieval.terms import stem

# One kind a line; alternatives are separated by spaces, spellings of one alternative by slashes. Vectors
# of words put these close
# together, for they stand in the same sentences, which is why they are written down here.
_KINDS = """
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
spring summer autumn/fall winter
christmas easter thanksgiving
morning afternoon evening night
breakfast lunch dinner/supper snack
north/northern south/southern east/eastern west/western
left right
red blue green yellow black white orange purple pink brown grey/gray
gold silver bronze platinum
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
mother father grandparent/grandmother/grandfather uncle aunt cousin nephew niece parent
husband wife
son daughter
brother sister
dog cat horse bird rabbit
car bicycle/bike/cycle motorcycle/motorbike lorry/truck bus train/rail ship/ferry/boat plane/aeroplane/airplane/flight helicopter tram scooter taxi/cab forklift van
engineer contractor/freelancer intern/trainee/apprentice manager director nurse doctor/physician teacher lawyer accountant driver student visitor/guest volunteer customer supplier/vendor tenant shareholder
sick/sickness/illness parental/maternity/paternity bereavement sabbatical jury
salary bonus pension/retirement overtime commission
dental vision/optical
laptop/notebook/computer phone/mobile/smartphone tablet monitor/screen printer keyboard mouse projector headset camera chair desk
book magazine/journal newspaper dvd/film/video map
hotel flight train
cash cheque/check card
euro dollar pound yen franc crown/krona florin rupee peso yuan
kitchen/canteen/cafeteria gym library garage warehouse laboratory/lab
acetone mercury ethanol toluene benzene ammonia chlorine
coffee tea water beer wine juice milk
shirt trousers/pants shoe/shoes hat/helmet glove/gloves jacket/coat
physics chemistry biology mathematics/maths history geography
english french german spanish italian portuguese chinese japanese russian arabic
founder/founded/founding chair/chaired lead/led
bus tram
daily/day weekly/week monthly/month quarterly/quarter yearly/annual/annually
birth death wedding/marriage divorce
internal external
temporary permanent
domestic international
import export
buyer/buy/purchase seller/sell/sale
deposit refund fine discount bonus rent
hire/hiring/recruit dismiss/dismissal/termination
android ios windows linux macos
height/tall width/wide depth/deep weight/weigh temperature speed
"""  # noqa: E501 - a kind is one line


@lru_cache(maxsize=1)
def _table() -> dict[str, frozenset[tuple[int, int]]]:
    table: dict[str, set[tuple[int, int]]] = {}
    for kind, line in enumerate(_KINDS.strip().splitlines()):
        for number, alternative in enumerate(line.split()):
            for word in alternative.split("/"):
                table.setdefault(stem(word), set()).add((kind, number))
    return {root: frozenset(places) for root, places in table.items()}


def is_sibling(root: str, others: Iterable[str]) -> bool:
    """Whether the stems ``others`` hold another of the kind of ``root``, and none that is the same one."""
    own = _table().get(root)
    if not own:
        return False
    theirs = [place for other in others for place in _table().get(other, ())]
    kinds = {kind for kind, _ in own}
    return any(kind in kinds for kind, _ in theirs) and not own.intersection(theirs)


def is_same(root: str, other: str) -> bool:
    """Whether two stems are spellings of one alternative."""
    return not _table().get(root, frozenset()).isdisjoint(_table().get(other, frozenset()))
