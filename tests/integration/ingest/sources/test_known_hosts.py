"""Files of a real SFTP server on this machine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("paramiko")
import paramiko
from sftp_server import sftp_server

from ingest.sources.entry import Entry, FetchFailed, ListingFailed
from ingest.sources.open import open_source


def test_files_over_sftp_from_a_server_whose_key_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out, home = tmp_path / "root", tmp_path / "out", tmp_path / "home"
    for folder in (root / "docs/deep", out, home / ".ssh"):
        folder.mkdir(parents=True)
    (root / "docs/a.md").write_text("alpha")
    (root / "docs/deep/b.md").write_bytes(bytes(range(256)) * 1000)
    (root / "docs/.hidden").write_text("no")
    (root / "docs/link.md").symlink_to("/etc/passwd")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    host_key, user_key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    user_key.write_private_key_file(str(home / ".ssh/id_ecdsa"))
    with sftp_server(root, host_key, user_key) as port:
        uri, allowed = f"sftp://me@127.0.0.1:{port}/docs", {"allow_addresses": ["127.0.0.1"]}
        with closing(open_source("fsspec", uri, **allowed)) as reader, pytest.raises(ListingFailed, match="is not in"):
            list(reader.entries())
        known = paramiko.HostKeys()
        known.add(f"[127.0.0.1]:{port}", host_key.get_name(), host_key)
        known.save(str(home / ".ssh/known_hosts"))
        with closing(open_source("fsspec", uri, **allowed)) as reader:
            entries = {entry.key: entry for entry in reader.entries()}
            assert sorted(entries) == ["a.md", "deep/b.md"]
            assert (entries["a.md"].mark or "").startswith("mtime:")
            fetched = reader.fetch(entries["deep/b.md"], out, None)
            assert fetched is not None
            assert fetched.path.read_bytes() == bytes(range(256)) * 1000
            with pytest.raises(FetchFailed) as caught:
                reader.fetch(Entry("none.md"), out, None)
            assert caught.value.gone
        other = paramiko.HostKeys()
        other.add(f"[127.0.0.1]:{port}", host_key.get_name(), paramiko.ECDSAKey.generate())
        other.save(str(home / ".ssh/known_hosts"))
        with closing(open_source("fsspec", uri, **allowed)) as reader, pytest.raises(ListingFailed):
            list(reader.entries())
