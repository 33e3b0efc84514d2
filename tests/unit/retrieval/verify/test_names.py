from retrieval.verify.names import find_names


def test_names_and_codes() -> None:
    names = find_names("Replace the Zeta-7 valve at Kessel with help of Ada Birch.")
    assert [(name.text, name.is_code) for name in names] == [
        ("Zeta-7", True), ("Kessel", False), ("Ada", False), ("Birch", False),
    ]  # fmt: skip


def test_a_first_capital_is_no_name() -> None:
    assert find_names("Leave lapses. Every year it does.") == []


def test_a_title_has_no_names() -> None:
    assert find_names("The Annual Leave And Travel Policy") == []
