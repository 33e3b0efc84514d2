import pytest

from infra.errors import Unavailable
from retrieval.facts.heap_file import Heap, HeapWriter
from retrieval.facts.section_file import SectionFile, write_sections

MAGIC = b"FNTESTS1"


def heap(folder, items):
    with HeapWriter(folder, "words") as writer:
        for item in items:
            writer.append(item)
    write_sections(folder / "heap", MAGIC, writer.parts)
    return Heap(SectionFile(folder / "heap", MAGIC), "words")


def test_items_come_back_by_number(tmp_path):
    items = [b"", b"a", b"", b"bc" * 1000]
    found = heap(tmp_path, items)
    assert [found[number] for number in range(len(found))] == items


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_beyond_the_heap_is_an_error(tmp_path, number):
    with pytest.raises(IndexError, match="2"):
        heap(tmp_path, [b"a", b"b"])[number]


def test_an_empty_heap(tmp_path):
    found = heap(tmp_path, [])
    assert len(found) == 0
    assert found.find(b"a") is None


def test_finding_within_a_sorted_range(tmp_path):
    found = heap(tmp_path, [b"x", b"b", b"d", b"f", b"a"])
    assert [found.place(item, 1, 4) for item in (b"a", b"b", b"c", b"f", b"g")] == [1, 1, 2, 3, 4]
    assert found.find(b"d", 1, 4) == 2
    assert found.find(b"x", 1, 4) is None  # outside of the range
    assert found.find(b"g", 1, 4) is None


def test_more_items_than_are_written_at_a_time(tmp_path):
    count = 70_000
    found = heap(tmp_path, (b"%06d" % number for number in range(count)))
    assert found[count - 1] == b"069999"
    assert found.find(b"065537") == 65_537


def test_offsets_that_do_not_fit_are_an_error(tmp_path):
    with HeapWriter(tmp_path, "words") as writer:
        writer.append(b"abc")
    (tmp_path / "words.bytes").write_bytes(b"ab")
    write_sections(tmp_path / "heap", MAGIC, writer.parts)
    with pytest.raises(Unavailable, match=r"words\.offsets that does not fit words\.bytes") as caught:
        Heap(SectionFile(tmp_path / "heap", MAGIC), "words")
    assert caught.value.code == "index_damaged"
