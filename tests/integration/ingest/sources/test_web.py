"""Pages of a real site on this machine, which the tests allow."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from web_site import Site, SitePage

from ingest.sources.copying import Limits
from ingest.sources.entry import Entry, FetchFailed, ListingFailed, SourceReader
from ingest.sources.open import open_source

HTML = "<html><body>{}</body></html>"
SITEMAP = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'


def link(*targets: str) -> str:
    return HTML.format("".join(f'<a href="{target}">x</a>' for target in targets))


_OPEN: list[SourceReader] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close the readers that a test opened."""
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(address: str, options: dict[str, Any] | None = None, **more: Any) -> SourceReader:
    _OPEN.append(open_source("web", address, options, **more))
    return _OPEN[-1]


def reader(site: Site, path: str, options: dict[str, Any] | None = None, **more: Any) -> SourceReader:
    return opened(site.url + path, options, **{"allow_addresses": ["127.0.0.1"], **more})


def paths(site: Site, path: str, options: dict[str, Any] | None = None, **more: Any) -> tuple[list[str], str | None]:
    """The keys without the site's address, and why the listing failed, if it did."""
    keys: list[str] = []
    source = reader(site, path, options, **more)
    try:
        for entry in source.entries():
            keys.append(entry.key.removeprefix(site.url))  # noqa: PERF401 - kept when the listing fails
    except ListingFailed as failed:
        return sorted(keys), failed.detail
    finally:
        source.close()
    return sorted(keys), None


def fetched_code(source: SourceReader, key: str, folder: Path) -> str:
    with pytest.raises(FetchFailed) as caught:
        source.fetch(Entry(key), folder, None)
    assert list(folder.iterdir()) == []
    return caught.value.code


# One page


def test_a_page_and_that_it_is_not_modified(site: Site, tmp_path: Path) -> None:
    site.add("/a.pdf?v=1", b"%PDF-1", "application/pdf", ETag='"one"', Last_Modified="Mon, 02 Nov 2026 10:00:00 GMT")
    source = reader(site, "/a.pdf?v=1#page=2")
    (entry,) = source.entries()
    assert (entry.key, entry.filename, entry.mark) == (f"{site.url}/a.pdf?v=1", "a.pdf", None)
    fetched = source.fetch(entry, tmp_path, None)
    assert fetched is not None
    assert (fetched.path.read_bytes(), fetched.content_type, fetched.temporary) == (b"%PDF-1", "application/pdf", True)
    assert fetched.validator is not None
    assert source.fetch(entry, tmp_path, fetched.validator) is None
    sent = site.asked[-1][1]
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('"one"', "Mon, 02 Nov 2026 10:00:00 GMT")
    assert sent["user-agent"].startswith("Footnote/")
    assert sent["host"] == f"127.0.0.1:{site.port}"
    source.close()


@pytest.mark.parametrize(
    ("status", "gone", "transient"),
    [(404, True, False), (410, True, False), (403, False, False), (429, False, True), (503, False, True)],
)
def test_a_page_that_is_not_there(site: Site, tmp_path: Path, status: int, gone: bool, transient: bool) -> None:
    site.pages["/x"] = SitePage(b"no", status=status)
    with pytest.raises(FetchFailed) as caught:
        reader(site, "/x").fetch(Entry(f"{site.url}/x"), tmp_path, None)
    assert (caught.value.code, caught.value.gone, caught.value.transient) == (f"http_{status}", gone, transient)


# Only to addresses that are allowed


def test_an_address_that_is_not_allowed_is_never_connected_to(site: Site, tmp_path: Path) -> None:
    source = opened(f"http://name.test:{site.port}/", resolve=lambda host, port: ["127.0.0.1"])
    assert fetched_code(source, f"http://name.test:{site.port}/", tmp_path) == "address_refused"
    assert site.asked == []


def test_a_redirect_to_a_private_address_is_refused(site: Site, tmp_path: Path) -> None:
    site.add("/inner", "secret")
    for place in (
        f"http://127.0.0.1:{site.port}/inner",
        f"http://[::ffff:127.0.0.1]:{site.port}/inner",
        f"//inner.test:{site.port}/inner",
    ):
        site.pages["/out"] = SitePage(status=302, headers={"Location": place})
        source = opened(
            f"http://outer.test:{site.port}/out",
            allow_addresses=["outer.test"],
            resolve=lambda host, port: ["127.0.0.1"],
        )
        assert fetched_code(source, f"http://outer.test:{site.port}/out", tmp_path) == "address_refused"
    assert "/inner" not in site.paths()


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://h/x", "gopher://h", "http://u:p@h/"])
def test_a_redirect_to_no_page_of_the_web_is_refused(site: Site, tmp_path: Path, place: str) -> None:
    site.pages["/out"] = SitePage(status=302, headers={"Location": place})
    assert fetched_code(reader(site, "/out"), f"{site.url}/out", tmp_path) == "invalid_url"


def test_a_name_that_changes_its_address_between_check_and_connection_gains_nothing(site: Site, tmp_path: Path) -> None:
    """The name is looked up once for a connection: an answer that would come later is never asked for."""
    answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    source = opened(f"http://turn.test:{site.port}/", allow_addresses=["127.0.0.2"], resolve=resolve)
    # 127.0.0.2 passed the check, and nothing but 127.0.0.2 is connected to: no one listens there.
    assert fetched_code(source, f"http://turn.test:{site.port}/", tmp_path) == "unreachable"
    assert (len(asked), site.asked) == (1, [])
    # The second time the name is at an address that is not allowed.
    assert fetched_code(source, f"http://turn.test:{site.port}/", tmp_path) == "address_refused"
    assert site.asked == []


def test_proxies_of_the_environment_are_not_used(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.add("/", "hello")
    fetched = reader(site, "/").fetch(Entry(f"{site.url}/"), tmp_path, None)
    assert fetched is not None
    assert fetched.path.read_bytes() == b"hello"


def test_redirects_are_followed_to_the_tenth(site: Site, tmp_path: Path) -> None:
    for number in range(12):
        site.pages[f"/{number}"] = SitePage(status=301, headers={"Location": f"/{number + 1}"})
    site.add("/12", "done")
    fetched = reader(site, "/2").fetch(Entry(f"{site.url}/2"), tmp_path, None)
    assert fetched is not None
    assert (fetched.path.read_bytes(), fetched.url) == (b"done", f"{site.url}/12")
    fetched.path.unlink()
    assert fetched_code(reader(site, "/1"), f"{site.url}/1", tmp_path) == "too_many_redirects"


def test_tls_is_for_the_name_though_the_address_was_looked_up_here(tmp_path: Path) -> None:
    names: list[str | None] = []
    server, trusted = _tls_server(tmp_path, "site.test", names)
    port = server.getsockname()[1]
    out = tmp_path / "out"
    out.mkdir()
    for host, ends in (("site.test", None), ("other.test", "unreachable")):
        source = opened(
            f"https://{host}:{port}/",
            allow_addresses=["127.0.0.1"],
            resolve=lambda host, port: ["127.0.0.1"],
            ssl_context=trusted,
        )
        if ends is None:
            fetched = source.fetch(Entry(f"https://{host}:{port}/"), out, None)
            assert fetched is not None
            assert fetched.path.read_bytes() == b"hello"
            fetched.path.unlink()
        else:
            assert fetched_code(source, f"https://{host}:{port}/", out) == ends
        source.close()
    server.close()
    assert names[0] == "site.test"
    assert names[-1] == "other.test"


def _tls_server(folder: Path, name: str, names: list[str | None]) -> tuple[socket.socket, ssl.SSLContext]:
    """A server whose certificate is for ``name``, noting the names that it is asked for; and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.sni_callback = lambda sock, sni, ctx: names.append(sni)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    asked = connection.recv(65536)
                    status = b"404 No" if b"robots.txt" in asked else b"200 OK"
                    body = b"hello"
                    connection.sendall(
                        b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 5\r\n\r\n%s" % (status, body)
                    )
            except OSError:
                plain.close()

    threading.Thread(target=serve, daemon=True).start()
    return listening, ssl.create_default_context(cafile=str(folder / "cert.pem"))


# Limits


def test_a_body_that_is_too_large_is_cut_off(site: Site, tmp_path: Path) -> None:
    site.add("/", b"x" * 3_000_000)
    assert fetched_code(reader(site, "/", limits=Limits(2_000_000)), f"{site.url}/", tmp_path) == "too_large"


def test_a_gzip_bomb_is_cut_off_and_does_not_fill_the_memory(site: Site, tmp_path: Path) -> None:
    site.add("/", gzip.compress(b"\0" * 300_000_000), Content_Encoding="gzip")
    import tracemalloc

    tracemalloc.start()
    assert fetched_code(reader(site, "/", limits=Limits(50_000_000)), f"{site.url}/", tmp_path) == "too_large"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_gzip_is_unpacked_and_nothing_else_is_taken(site: Site, tmp_path: Path) -> None:
    site.add("/", gzip.compress(b"one ") + gzip.compress(b"two"), Content_Encoding="gzip")
    fetched = reader(site, "/").fetch(Entry(f"{site.url}/"), tmp_path, None)
    assert fetched is not None
    assert fetched.path.read_bytes() == b"one two"
    fetched.path.unlink()
    site.add("/", b"xx", Content_Encoding="gzip, gzip")
    assert fetched_code(reader(site, "/"), f"{site.url}/", tmp_path) == "unsupported_encoding"
    site.add("/", gzip.compress(b"x" * 1000)[:-12], Content_Encoding="gzip")
    assert fetched_code(reader(site, "/"), f"{site.url}/", tmp_path) == "broken_body"
    site.add("/", b"plain", Content_Encoding="gzip")
    assert fetched_code(reader(site, "/"), f"{site.url}/", tmp_path) == "broken_body"


def test_a_server_that_sends_a_byte_now_and_then_is_left(site: Site, tmp_path: Path) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            handler.wfile.write(b"X")
            time.sleep(0.05)

    site.pages["/"] = SitePage(write=drip)
    assert fetched_code(reader(site, "/", limits=Limits(timeout_s=0.5)), f"{site.url}/", tmp_path) == "timeout"


def test_a_body_that_ends_before_its_time_is_no_page(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = SitePage(
        write=lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") and None
    )
    assert fetched_code(reader(site, "/"), f"{site.url}/", tmp_path) == "unreachable"


# Robots


def test_robots_are_honoured(site: Site, tmp_path: Path) -> None:
    site.add(
        "/robots.txt",
        "User-agent: *\nDisallow: /\n\nUser-agent: Footnote\nDisallow: /private/*.html$\nAllow: /\n",
        "text/plain",
    )
    site.add("/private/a.html", "no")
    site.add("/private/a.pdf", "yes")
    assert fetched_code(reader(site, "/private/a.html"), f"{site.url}/private/a.html", tmp_path) == "robots_refused"
    assert reader(site, "/private/a.pdf").fetch(Entry(f"{site.url}/private/a.pdf"), tmp_path, None) is not None
    assert site.paths() == ["/private/a.pdf"]


def test_robots_that_cannot_be_read_allow_nothing(site: Site, tmp_path: Path) -> None:
    site.add("/", "hello")
    site.pages["/robots.txt"] = SitePage(status=503)
    assert fetched_code(reader(site, "/"), f"{site.url}/", tmp_path) == "robots_unavailable"
    site.pages["/robots.txt"] = SitePage(status=403)
    assert reader(site, "/").fetch(Entry(f"{site.url}/"), tmp_path, None) is not None


def test_robots_of_the_host_that_a_redirect_leads_to_count_too(site: Site, tmp_path: Path) -> None:
    site.pages["/go"] = SitePage(status=302, headers={"Location": "/private"})
    site.add("/private", "no")
    site.add("/robots.txt", "User-agent: *\nDisallow: /private\n", "text/plain")
    assert fetched_code(reader(site, "/go"), f"{site.url}/go", tmp_path) == "robots_refused"
    assert site.paths() == ["/go"]


def test_the_crawl_delay_is_kept(site: Site) -> None:
    site.add("/robots.txt", "User-agent: *\nCrawl-delay: 7\n", "text/plain")
    site.add("/", link("a", "b"))
    site.add("/a", link())
    site.add("/b", link())
    waits: list[float] = []
    assert paths(site, "/", {"mode": "crawl"}, sleep=waits.append) == (["/", "/a", "/b"], None)
    assert [round(wait) for wait in waits] == [7, 7]
    site.add("/robots.txt", "User-agent: *\nCrawl-delay: 86400\n", "text/plain")
    waits.clear()
    paths(site, "/", {"mode": "crawl"}, sleep=waits.append)
    assert [round(wait) for wait in waits] == [60, 60]


# Sitemaps


def url(site: Site, path: str, lastmod: str = "") -> str:
    return f"<url><loc>{site.url}{path}</loc>{lastmod and f'<lastmod>{lastmod}</lastmod>'}</url>"


def test_a_sitemap_and_its_sitemaps(site: Site, tmp_path: Path) -> None:
    names = "".join(
        f"<sitemap><loc>{site.url}/{name}</loc></sitemap>"
        for name in ("one.xml", "two.xml.gz", "one.xml", "sitemap.xml")
    )
    site.add(
        "/sitemap.xml", f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{names}</sitemapindex>'
    )
    outside = "<url><loc>http://other.test/x</loc></url><url><loc>javascript:x</loc></url>"
    site.add("/one.xml", SITEMAP.format(url(site, "/a", "2026-01-01") + url(site, "/private") + outside))
    site.add(
        "/two.xml.gz", gzip.compress(SITEMAP.format(url(site, "/b") + url(site, "/a#x")).encode()), "application/gzip"
    )
    site.add("/robots.txt", "User-agent: *\nDisallow: /private\n", "text/plain")
    assert paths(site, "/sitemap.xml") == (["/a", "/b"], None)
    assert [entry.mark for entry in reader(site, "/sitemap.xml").entries()] == [None, None]
    trusting = reader(site, "/sitemap.xml", {"trust_lastmod": True}, exclude=["*/b"])
    assert [entry.mark for entry in trusting.entries()] == ["2026-01-01"]
    assert site.paths().count("/one.xml") == 3


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (SitePage(status=500), "answered 500"),
        (SitePage(b"<html>Not found</html>"), "is no sitemap"),
        (SitePage(b"<urlset><url>", "application/xml"), "not whole XML"),
    ],
)
def test_a_sitemap_that_cannot_be_read_whole_fails_the_listing_after_the_rest(
    site: Site, second: SitePage, why: str
) -> None:
    names = "".join(f"<sitemap><loc>{site.url}/{name}</loc></sitemap>" for name in ("two.xml", "one.xml"))
    site.add("/sitemap.xml", f"<sitemapindex>{names}</sitemapindex>")
    site.add("/one.xml", SITEMAP.format(url(site, "/a")))
    site.pages["/two.xml"] = second
    found, failure = paths(site, "/sitemap.xml")
    assert found == ["/a"]
    assert why in (failure or "")


def test_an_empty_sitemap_and_one_that_is_too_long_are_no_whole_listing(site: Site) -> None:
    site.add("/sitemap.xml", SITEMAP.format(""))
    assert "lists no page" in (paths(site, "/sitemap.xml")[1] or "")
    site.add("/sitemap.xml", SITEMAP.format("".join(url(site, f"/{number}") for number in range(5))))
    found, failure = paths(site, "/sitemap.xml", {"max_pages": 3})
    assert found == ["/0", "/1", "/2"]
    assert "more than 3 pages" in (failure or "")


# Crawls


def test_a_crawl_stays_below_its_start(site: Site, tmp_path: Path) -> None:
    site.add(
        "/docs/index.html",
        link("a", "/docs/a#x", "/other", "http://other.test/", "manual.pdf", "logo.png", "mailto:x@y"),
    )
    site.add("/docs/a", link("b/c", "../other", "index.html"))
    site.add("/docs/b/c", link("d"))
    site.add("/docs/b/d", link("e"))
    found = ["/docs/a", "/docs/b/c", "/docs/b/d", "/docs/index.html", "/docs/manual.pdf"]
    assert paths(site, "/docs/index.html", {"depth": 3}) == (found, None)
    assert paths(site, "/docs/index.html", {"depth": 1}) == (["/docs/a", "/docs/index.html", "/docs/manual.pdf"], None)
    assert paths(site, "/docs/index.html", {"mode": "crawl", "depth": 0}) == (["/docs/index.html"], None)
    assert not {"/other", "/docs/logo.png", "/docs/manual.pdf", "/docs/b/e"} & set(site.paths())


def test_a_crawled_page_is_asked_for_once_and_its_mark_is_its_content(site: Site, tmp_path: Path) -> None:
    site.add("/", link("a"), ETag='"x"')
    site.add("/a", HTML.format("one"))
    source = reader(site, "/", {"depth": 1}, scratch=tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    first = list(source.entries())
    bodies = {}
    for entry in first:
        fetched = source.fetch(entry, out, None)
        assert fetched is not None
        bodies[entry.key.removeprefix(site.url)] = fetched.path.read_text()
    assert bodies == {"/": link("a"), "/a": HTML.format("one")}
    assert site.paths() == ["/", "/a"]
    source.close()
    assert list((tmp_path / "scratch").iterdir()) == []
    site.add("/a", HTML.format("two"))
    second = list(reader(site, "/", {"depth": 1}).entries())
    assert [old.mark == new.mark for old, new in zip(first, second, strict=True)] == [True, False]


def test_a_crawl_that_is_cut_short_or_misses_a_page_is_no_whole_listing(site: Site) -> None:
    site.add("/", link("a", "b", "c", "gone"))
    for name in ("/a", "/b", "/c"):
        site.add(name, link())
    assert paths(site, "/", {"depth": 1}) == (["/", "/a", "/b", "/c"], None)
    found, failure = paths(site, "/", {"depth": 1, "max_pages": 3})
    assert (found, "more than 3 pages" in (failure or "")) == (["/", "/a", "/b"], True)
    site.pages["/b"] = SitePage(status=500)
    found, failure = paths(site, "/", {"depth": 1})
    assert found == ["/", "/a", "/c"]
    assert failure == f"The site could not be listed whole: these pages could not be read: {site.url}/b (500)."


def test_a_crawl_whose_first_page_fails_lists_nothing(site: Site) -> None:
    assert paths(site, "/none", {"depth": 1}) == ([], "The first page answered 404.")
    site.pages["/moved"] = SitePage(status=301, headers={"Location": f"http://localhost:{site.port}/"})
    site.add("/", link())
    found, failure = paths(site, "/moved", {"depth": 1}, allow_addresses=["127.0.0.0/8", "::1", "localhost"])
    assert (found, "another host" in (failure or "")) == ([], True)


def test_a_crawl_meets_redirects_loops_and_pages_that_are_no_pages(site: Site) -> None:
    site.add("/d/", link("old", "again", "out", "inner", "style", "big", "x" * 1100))
    site.pages["/d/old"] = SitePage(status=301, headers={"Location": "/d/new"})
    site.pages["/d/again"] = SitePage(status=301, headers={"Location": "/d/new#2"})
    site.pages["/d/out"] = SitePage(status=302, headers={"Location": "/elsewhere"})
    site.pages["/d/inner"] = SitePage(status=302, headers={"Location": "http://10.0.0.1/"})
    site.add("/d/new", link("./", "old"))
    site.add("/elsewhere", link())
    site.add("/d/style", "x{}", "text/css")
    site.add("/d/big", b"x" * 100_000)
    found, failure = paths(site, "/d/", {"depth": 4}, limits=Limits(50_000))
    assert (found, failure) == (["/d/", "/d/big", "/d/new"], None)


def test_exclusions_keep_a_crawl_away(site: Site) -> None:
    site.add("/", link("a/", "private/x", "b"))
    site.add("/a/", link())
    site.add("/b", link())
    found = paths(site, "/", {"depth": 2}, exclude=[f"{site.url}/private", "*/b"])
    assert found == (["/", "/a/"], None)
    assert "/private/x" not in site.paths()
