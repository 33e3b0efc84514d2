import numpy as np
import pytest

from infra.errors import Unavailable
from retrieval.facts.section_file import SectionFile, write_sections

MAGIC = b"FNTESTS1"
PARTS = {"words": b"abc", "numbers": np.arange(5, dtype="<u4").tobytes(), "empty": b""}


def write(folder, parts=PARTS):
    paths = {name: folder / f"part-{name}" for name in parts}
    for name, path in paths.items():
        path.write_bytes(parts[name])
    write_sections(folder / "all.bin", MAGIC, paths)
    return folder / "all.bin"


def test_sections_come_back(tmp_path):
    file = SectionFile(write(tmp_path), MAGIC)
    found, begin, end = file.section("words")
    assert found[begin:end] == b"abc"
    numbers = file.numbers("numbers", "<u4")
    assert numbers.tolist() == [0, 1, 2, 3, 4]
    assert not numbers.flags.writeable
    assert numbers.ctypes.data % 8 == 0
    assert file.numbers("empty", "<u8").tolist() == []


def test_a_section_that_does_not_hold_whole_numbers(tmp_path):
    with pytest.raises(Unavailable, match="a section words of 3 bytes"):
        SectionFile(write(tmp_path), MAGIC).numbers("words", "<u8")


def test_no_sections(tmp_path):
    path = write(tmp_path, {})
    SectionFile(path, MAGIC)
    path.write_bytes(path.read_bytes() + bytes(8))
    with pytest.raises(Unavailable, match="bytes instead of"):
        SectionFile(path, MAGIC)


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    path = write(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Unavailable, match=r"all\.bin") as caught:
            SectionFile(path, MAGIC)
        assert caught.value.code == "index_damaged"


def test_a_changed_header_is_an_error(tmp_path):
    path = write(tmp_path)
    whole = path.read_bytes()
    for place in range(whole.index(b"}") + 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Unavailable, match=r"does not begin with|header that was changed"):
            SectionFile(path, MAGIC)


def test_what_the_error_says(tmp_path):
    path = write(tmp_path)
    with pytest.raises(Unavailable, match=r"all\.bin does not begin with b'FNTESTS2': build the index anew"):
        SectionFile(path, b"FNTESTS2")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Unavailable, match=r"has \d+ bytes instead of \d+"):
        SectionFile(path, MAGIC)
    path.unlink()
    with pytest.raises(Unavailable, match=r"all\.bin is missing"):
        SectionFile(path, MAGIC)
