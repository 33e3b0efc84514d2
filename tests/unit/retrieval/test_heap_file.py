import pytest

from infra.errors import Unavailable
from retrieval.heap_file import Heap, HeapWriter


def heap(folder, items):
    with HeapWriter(folder, "words") as writer:
        for item in items:
            writer.append(item)
    return Heap(folder, "words", writer.count)


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


@pytest.mark.parametrize("name", ["words.bytes", "words.offsets"])
def test_a_file_that_is_cut_or_absent_is_not_opened(tmp_path, name):
    heap(tmp_path, [b"abc", b"d"])
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Unavailable, match=name) as caught:
        Heap(tmp_path, "words", 2)
    assert caught.value.code == "index_damaged"
    path.unlink()
    with pytest.raises(Unavailable, match=f"{name} is missing"):
        Heap(tmp_path, "words", 2)
