import pytest

from infra.errors import Unavailable
from retrieval.facts.postings import Postings
from retrieval.facts.postings_build import PostingsWriter
from retrieval.facts.section_file import SectionFile, write_sections
from retrieval.facts.value_keys import KINDS, sought_keys, stored_keys
from retrieval.filters import acceptance

MAGIC = b"FNTESTS1"
DOCUMENTS = [
    {b"year": [2024], b"tag": ["a", "b"]},
    {b"year": [2025.0]},
    {b"year": ["2025"], b"tag": ["b", "b", None]},
    {b"year": [2025, 2026]},
    {},
    {b"tag": [{}]},
]


def write(folder, documents=DOCUMENTS, **limits):
    folder.mkdir(exist_ok=True)
    with PostingsWriter(folder, **limits) as writer:
        for ordinal, columns in enumerate(documents):
            writer.add(
                ordinal, [(name, key) for name, values in columns.items() for v in values for key in stored_keys(v)]
            )
    return writer.parts


def open_(folder, documents=DOCUMENTS, **limits):
    write_sections(folder / "all", MAGIC, write(folder, documents, **limits))
    return Postings(SectionFile(folder / "all", MAGIC))


def accepted(postings, column, wanted, operator="$eq"):
    number = postings.column(column)
    found = [postings.accepted(number, key, acceptance(operator)) for key in sought_keys(wanted)]
    return [part.tolist() for parts in found for part in parts]


def test_documents_by_value(tmp_path):
    postings = open_(tmp_path)
    assert accepted(postings, b"year", 2025) == [[1, 3]]
    assert accepted(postings, b"year", "2025") == [[2]]
    assert accepted(postings, b"year", 2023) == []
    assert accepted(postings, b"tag", "b") == [[0, 2]]  # a document is listed once, however often it has the value
    assert accepted(postings, b"tag", None) == [[2]]
    assert postings.column(b"yea") is None


def test_documents_by_order(tmp_path):
    postings = open_(tmp_path)
    assert accepted(postings, b"year", 2025, "$gt") == [[3]]
    assert accepted(postings, b"year", 2025, "$gte") == [[1, 3], [3]]
    assert accepted(postings, b"year", 2024.5, "$lte") == [[0]]
    assert accepted(postings, b"year", 2024.5, "$gt") == [[1, 3, 3]]
    assert accepted(postings, b"year", "2024", "$gt") == [[2]]


def test_documents_in_a_column(tmp_path):
    postings = open_(tmp_path)
    assert set(postings.present(postings.column(b"tag")).tolist()) == {0, 2, 5}
    assert set(postings.present(postings.column(b"year")).tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "limits", [{"keys_held": 1}, {"keys_held": 3}, {"postings_held": 1}, {"keys_held": 2, "spills": 2}]
)
def test_sorting_in_spills_gives_the_same_files(tmp_path, limits):
    documents = [{b"n": [i % 3, i], b"%d" % (i % 5): ["x"]} for i in range(40)]
    parts = write(tmp_path / "whole", documents)
    write(tmp_path / "spilled", documents, **limits)
    whole, spilled = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("whole", "spilled"))
    assert spilled == whole
    assert whole.keys() == parts.keys()  # and nothing is left of the spills


def test_an_error_leaves_no_spills(tmp_path):
    with pytest.raises(ValueError, match="stop"):
        write(tmp_path, stopping(), keys_held=1)
    assert list(tmp_path.glob("spill*")) == []


def stopping():
    yield DOCUMENTS[0]
    raise ValueError("stop")


def test_no_documents(tmp_path):
    assert open_(tmp_path, []).column(b"a") is None


@pytest.mark.parametrize(
    ("part", "content"),
    [("runs", bytes(8 * (2 * KINDS + 1))), ("runs", bytes(8)), ("postings.offsets", bytes(8)), ("values.offsets", b"")],
)
def test_sections_that_do_not_fit_each_other_are_an_error(tmp_path, part, content):
    parts = write(tmp_path)
    parts[part].write_bytes(content)
    write_sections(tmp_path / "all", MAGIC, parts)
    with pytest.raises(Unavailable, match=part.split(".")[0]):
        Postings(SectionFile(tmp_path / "all", MAGIC))
