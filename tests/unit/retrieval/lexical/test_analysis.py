"""What texts are split into, by language."""

import pytest

from infra.errors import InvalidInput
from retrieval.lexical.analysis import Analysis, identifiers
from retrieval.lexical.language import LANGUAGES, check_language


def test_english_is_folded_and_stemmed():
    assert Analysis().words("Employees' cafés: RUNNING costs") == ["employe", "cafe", "run", "cost"]
    assert Analysis("none").words("Employees' cafés: RUNNING") == ["employees", "cafes", "running"]


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("german", "Die Verträge der Mitarbeiterinnen enden im März.", "vertrag mitarbeiter"),
        ("french", "Les congés payés des salariées", "congé payé salarié"),
        ("spanish", "Las vacaciones anuales de los trabajadores", "vacación anual trabajador"),
        ("italian", "I contratti dei dipendenti", "contratto dipendente"),
        ("dutch", "De contracten van de werknemers", "werknemer contract"),
        ("swedish", "De anställdas avtalen", "avtal"),
        ("russian", "Сотрудники получают отпуска", "сотрудник отпуск"),
        ("greek", "Οι υπάλληλοι της εταιρείας", "υπάλληλος εταιρεία"),
        ("turkish", "İstanbul'daki çalışanların IŞIKLARI", "istanbul ışık"),
        ("arabic", "الموظفون يحصلون على الإجازة", "موظف إجازة"),
    ],
)
def test_words_of_a_language_meet_in_their_stems(language, text, query):
    analysis = Analysis(language)
    assert set(analysis.asked(query)) <= set(analysis.words(text)), (analysis.asked(query), analysis.words(text))


def test_accents_made_of_two_characters_are_one_letter():
    assert Analysis("german").words("Ha\u0308user") == Analysis("german").words("Häuser") == ["haus"]
    assert Analysis().words("cafe\u0301") == ["cafe"]
    assert Analysis().words("\u1112\u1161\u11ab") == ["한"]  # hangul in its parts


@pytest.mark.parametrize("language", ["english", "german", "cjk", "none"])
def test_runs_without_spaces_become_pairs_in_every_language(language):
    analysis = Analysis(language)
    assert analysis.asked("年次休暇") == ["年次", "次休", "休暇"]
    assert analysis.words("年次") == ["年", "次", "年次"]
    assert analysis.asked("水") == ["水"]
    assert "水" in analysis.words("飲料水を飲む")


def test_mixed_text_keeps_its_latin_words_and_identifiers():
    analysis = Analysis("cjk")
    assert analysis.asked("型番ＥＸ－１０４のポンプ、iPhone用") == [
        "ex",
        "104",
        "iphone",
        "型番",
        "のポ",
        "ポン",
        "ンプ",
        "用",
    ]
    assert analysis.identifiers("型番ＥＸ－１０４のポンプ") == ["ex104"]
    assert analysis.asked("ﾎﾟﾝﾌﾟ") == analysis.asked("ポンプ")
    assert analysis.asked("연차휴가는 15일") == ["15", "연차", "차휴", "휴가", "가는", "일"]
    # characters beyond the first 65,536
    assert analysis.asked("\U00020bb7野家") == ["\U00020bb7野", "野家"]


def test_thai_is_found_by_its_pairs_of_letters():
    analysis = Analysis("none")
    assert analysis.asked("ลาพัก 10 วัน") == ["10", "ลา", "าพ", "พั", "ัก", "วั", "ัน"]
    assert set(analysis.asked("วันลา")) <= set(analysis.words("พนักงานมีวันลาพักร้อนสิบวัน"))


def test_identifiers():
    assert identifiers("Pump EX-104 costs 1,500.25 EUR, see v2.1 and A_7; no well-known word.") == [
        "ex104",
        "150025",
        "v21",
        "a7",
    ]


def test_half_a_surrogate_pair_is_no_error():
    assert Analysis().words("one \ud800 two") == ["one", "two"]


def test_a_language_that_is_not_known_is_named_with_those_that_are():
    assert [check_language(language) for language in (None, "german", "none")] == [None, "german", "none"]
    for language in LANGUAGES:
        Analysis(language)
    with pytest.raises(InvalidInput) as caught:
        check_language("klingon")
    assert (caught.value.code, caught.value.errors[0].field) == ("invalid_language", "language")
    assert "'klingon'" in caught.value.detail
    assert "german" in caught.value.detail
    with pytest.raises(InvalidInput):
        Analysis("German")


def test_lines_that_come_again_give_the_same_words_and_words_do_not_go_on_in_the_next_line():
    analysis = Analysis()
    around = "Engines were running\n東京都の\nbay 7\nEngines were running"
    wanted = [
        "engin",
        "were",
        "run",
        "東",
        "京",
        "都",
        "の",
        "東京",
        "京都",
        "都の",
        "bay",
        "7",
        "engin",
        "were",
        "run",
    ]
    for _ in range(2):
        found = analysis.words(around)
        assert found == wanted
        found.clear()  # what is given is the caller's
    assert analysis.words("東\n京") == ["東", "京"]
