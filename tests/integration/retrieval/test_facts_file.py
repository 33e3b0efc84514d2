import subprocess
import sys

from retrieval.access import Access
from retrieval.facts.build import write_facts
from retrieval.facts.file import FactsFile
from retrieval.filters import DocumentFacts, parse_filter

OTHER_PROCESS = """
import sys
from pathlib import Path
from retrieval.access import Access
from retrieval.facts.file import FactsFile
from retrieval.filters import parse_filter

file = FactsFile.open(Path(sys.argv[1]))
mask = file.allowed(Access(frozenset({"hr"})), parse_filter({"year": {"$gte": 2025}}), "c")
print([file.id(ordinal) for ordinal in mask.nonzero()[0]])
sys.stdin.read()
print([file.facts(ordinal).metadata for ordinal in mask.nonzero()[0]])
"""


def test_another_process_reads_the_same_and_goes_on_when_the_files_are_deleted(tmp_path):
    documents = [
        DocumentFacts(f"doc_{i}", f"{i}", None, None, None, 1, {"year": 2020 + i}, ("hr",) if i % 2 else ("eng",))
        for i in range(8)
    ]
    write_facts(tmp_path, documents)
    file = FactsFile.open(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "['doc_5', 'doc_7']\n"
        for path in tmp_path.iterdir():
            path.unlink()
        rest, _ = other.communicate("", timeout=60)
    assert rest == "[{'year': 2025}, {'year': 2027}]\n"
    mask = file.allowed(Access(frozenset({"hr"})), parse_filter({"year": {"$gte": 2025}}), "c")
    assert mask.nonzero()[0].tolist() == [5, 7]
