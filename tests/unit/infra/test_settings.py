"""Settings: each name, each bad value, the order of origins, and what is refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.settings import Settings, is_loopback, load_settings

DEFAULTS = {
    "data_dir": Path("data"), "database_url": None, "encoder": "all-MiniLM-L6-v2", "previous_encoder": None, "reranker": None,
    "encoder_runtime": "auto", "cache_dir": None,
    "verifier": "deterministic", "llm_base_url": None, "llm_model": None, "llm_api": "openai", "llm_api_key": None,
    "llm_timeout_s": 60, "host": "127.0.0.1", "port": 8000, "workers": 1, "auth": "keys", "oidc_issuer": None,
    "oidc_audience": None, "log_format": "text", "max_upload_mb": 100, "parse_timeout_s": 120, "parse_memory_mb": 2048,
    "job_concurrency": 2, "merge_chunks": 20_000, "keep_versions_days": None, "source_roots": (), "source_addresses": (),
    "ocr": None, "max_waiting_mb": 10240, "index_url": None, "index_token": None,
}  # fmt: skip

# name: (a value in the environment, what it becomes)
GOOD = {
    "data_dir": ("/srv/footnote", Path("/srv/footnote")),
    "database_url": ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
    "encoder": ("/models/e5", "/models/e5"),
    "previous_encoder": ("/models/e4", "/models/e4"),
    "encoder_runtime": ("openvino", "openvino"),
    "cache_dir": ("/var/cache/footnote", Path("/var/cache/footnote")),
    "reranker": ("/models/reranker", "/models/reranker"),
    "verifier": ("deterministic", "deterministic"),
    "llm_base_url": ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1"),
    "llm_model": ("qwen", "qwen"),
    "llm_api": ("tgi", "tgi"),
    "llm_api_key": ("sk-1", "sk-1"),
    "llm_timeout_s": ("5", 5),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8123", 8123),
    "workers": ("2", 2),
    "auth": ("off", "off"),
    "oidc_issuer": ("https://id.example.org", "https://id.example.org"),
    "oidc_audience": ("footnote", "footnote"),
    "log_format": ("json", "json"),
    "max_upload_mb": ("5", 5),
    "parse_timeout_s": ("9", 9),
    "parse_memory_mb": ("512", 512),
    "job_concurrency": ("0", 0),
    "keep_versions_days": ("90", 90),
    "merge_chunks": ("0", 0),
    "source_roots": ("/srv/docs:/srv/wiki", (Path("/srv/docs"), Path("/srv/wiki"))),
    "source_addresses": ("wiki.corp, 10.1.0.0/16", ("wiki.corp", "10.1.0.0/16")),
    "ocr": ("eng+deu", "eng+deu"),
    "max_waiting_mb": ("500", 500),
    "index_url": ("http://milvus:19530/", "http://milvus:19530"),
    "index_token": ("footnote:secret", "footnote:secret"),
}

BAD = {
    "index_url": (
        "milvus:19530",
        "http://HOST:19530, https://… or tcp://… without a password, or a milvus-lite file, FILE.db",
    ),
    "database_url": ("mysql://h/db", "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
    "encoder_runtime": ("onnx", "one of auto, torch, openvino"),
    "verifier": ("oracle", "one of deterministic"),
    "llm_base_url": ("127.0.0.1:8080", "an address starting with http:// or https://"),
    "llm_api": ("grpc", "one of openai, tgi"),
    "llm_timeout_s": ("0", "a whole number from 1 to 3600"),
    "port": ("65536", "a whole number from 1 to 65535"),
    "workers": ("many", "a whole number from 1 to 64"),
    "auth": ("maybe", "one of keys, off"),
    "oidc_issuer": ("id.example.org", "an address starting with http:// or https://"),
    "log_format": ("xml", "one of json, text"),
    "max_upload_mb": ("-1", "a whole number from 1 to 10000"),
    "parse_timeout_s": ("1.5", "a whole number from 1 to 3600"),
    "ocr": ("eng, deu", "names of Tesseract's languages joined by +, as in eng or eng+deu"),
    "parse_memory_mb": ("255", "a whole number from 256 to 65536"),
    "job_concurrency": ("-1", "a whole number from 0 to 64"),
    "merge_chunks": ("-1", "a whole number from 0 to 100000000"),
    "keep_versions_days": ("0", "a whole number from 1 to 36500"),
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def values(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in DEFAULTS}


def test_defaults() -> None:
    settings = load_settings({})
    assert values(settings) == DEFAULTS
    assert settings.origins == {}
    assert len(settings.describe()) == len(DEFAULTS)


def test_every_setting_is_known_to_this_test() -> None:
    assert (
        set(GOOD)
        == set(DEFAULTS)
        == {str(row["name"]).removeprefix("FOOTNOTE_").lower() for row in load_settings({}).describe()}
    )


@pytest.mark.parametrize("name", GOOD)
def test_each_comes_from_the_environment_and_from_the_file(name: str, tmp_path: Path) -> None:
    raw, expected = GOOD[name]
    settings = load_settings({"FOOTNOTE_" + name.upper(): raw, "PATH": "/bin"})
    assert values(settings) == {**DEFAULTS, name: expected}
    assert settings.origins == {name: "environment"}
    (tmp_path / "footnote.toml").write_text(f"{name} = {raw if raw.isdigit() else chr(34) + raw + chr(34)}\n")
    settings = load_settings({})
    assert values(settings) == {**DEFAULTS, name: expected}
    assert settings.origins == {name: "footnote.toml"}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_says_which_and_what_is_allowed(name: str) -> None:
    raw, allowed = BAD[name]
    with pytest.raises(SettingsError) as caught:
        load_settings({"FOOTNOTE_" + name.upper(): raw})
    shown = "(a secret)" if name == "database_url" else repr(raw)
    assert caught.value.detail == f"FOOTNOTE_{name.upper()} is {shown} (environment); allowed: {allowed}."
    assert "\n" not in caught.value.detail


def test_the_environment_wins_over_the_file_and_options_over_both(tmp_path: Path) -> None:
    (tmp_path / "footnote.toml").write_text('port = 1000\nhost = "localhost"\nlog_format = "json"\n')
    settings = load_settings({"FOOTNOTE_PORT": "2000", "FOOTNOTE_HOST": "127.0.0.2"}, overrides={"port": "3000"})
    assert (settings.port, settings.host, settings.log_format) == (3000, "127.0.0.2", "json")
    assert settings.origins == {"port": "command line", "host": "environment", "log_format": "footnote.toml"}


def test_an_empty_value_is_none_given() -> None:
    assert load_settings({"FOOTNOTE_LLM_MODEL": ""}).llm_model is None


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("FOOTNOTE_PROT", "FOOTNOTE_PORT"), ("FOOTNOTE_DATADIR", "FOOTNOTE_DATA_DIR"), ("FOOTNOTE_XYZZY", None)],
)
def test_an_unknown_name_is_refused_with_a_hint(variable: str, hint: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: "1"})
    detail = caught.value.detail
    assert detail.startswith(f"{variable} is not a setting.")
    assert (f"Did you mean {hint}?" in detail) == (hint is not None)
    assert "Allowed: FOOTNOTE_DATA_DIR, " in detail
    assert "\n" not in detail


def test_an_unknown_name_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "footnote.toml").write_text("prot = 1\n")
    with pytest.raises(SettingsError, match=r"^prot in footnote.toml is not a setting. Did you mean FOOTNOTE_PORT\?"):
        load_settings({})


@pytest.mark.parametrize("content", ["port = ", "port = [1]", "port = 1.5", "\xff"])
def test_a_broken_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "footnote.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"footnote\.toml"):
        load_settings({})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings({}, file=tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_auth_off_is_refused_beyond_loopback(host: str) -> None:
    environ = {"FOOTNOTE_AUTH": "off", "FOOTNOTE_HOST": host or "10.0.0.1"}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert caught.value.detail.startswith("FOOTNOTE_AUTH is 'off' and FOOTNOTE_HOST is ")
    assert load_settings({**environ, "FOOTNOTE_AUTH": "keys"}).auth == "keys"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_auth_off_on_loopback(host: str) -> None:
    assert load_settings({"FOOTNOTE_AUTH": "off", "FOOTNOTE_HOST": host}).auth == "off"


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.evil.example", "", "0", "2130706433"])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_secrets_of_sources_are_taken_by_name_and_shown_nowhere() -> None:
    settings = load_settings({"FOOTNOTE_SECRET_WIKI": "hidden", "FOOTNOTE_SECRET_GIT": "hidden too"})
    assert settings.secrets == {"WIKI": "hidden", "GIT": "hidden too"}
    assert "hidden" not in str(settings.describe()) + repr(settings)


def test_secrets_are_masked() -> None:
    settings = load_settings(
        {"FOOTNOTE_LLM_API_KEY": "sk-hidden", "FOOTNOTE_DATABASE_URL": "postgresql://u:hidden@h/d"}
    )
    rows = {row["name"]: row for row in settings.describe()}
    assert "hidden" not in str(rows)
    assert rows["FOOTNOTE_LLM_API_KEY"] | {"meaning": ""} == {
        "name": "FOOTNOTE_LLM_API_KEY", "value": "****", "origin": "environment", "meaning": "",
    }  # fmt: skip
    assert all(row["meaning"] for row in rows.values())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
    ],
)
def test_the_drivers_name_is_added(raw: str, expected: str) -> None:
    assert load_settings({"FOOTNOTE_DATABASE_URL": raw}).database == expected


def test_without_an_address_the_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    assert load_settings({"FOOTNOTE_DATA_DIR": "here"}).database == f"sqlite:///{tmp_path / 'here' / 'footnote.db'}"


def test_the_cache_lies_in_the_data_folder_unless_it_is_named() -> None:
    assert load_settings({"FOOTNOTE_DATA_DIR": "here"}).cache == Path("here/cache")
    assert load_settings({"FOOTNOTE_DATA_DIR": "here", "FOOTNOTE_CACHE_DIR": "there"}).cache == Path("there")


def test_less_may_not_wait_than_one_upload_may_have() -> None:
    with pytest.raises(SettingsError, match="FOOTNOTE_MAX_WAITING_MB is 5 and FOOTNOTE_MAX_UPLOAD_MB is 6"):
        load_settings({"FOOTNOTE_MAX_WAITING_MB": "5", "FOOTNOTE_MAX_UPLOAD_MB": "6"})
    assert load_settings({"FOOTNOTE_MAX_WAITING_MB": "6", "FOOTNOTE_MAX_UPLOAD_MB": "6"}).max_waiting_mb == 6


def test_the_index_is_a_milvus_server_or_a_file() -> None:
    for url in ("http://milvus:19530/kb", "tcp://10.0.0.1:19530", "data/index.db"):
        assert load_settings(environ={"FOOTNOTE_INDEX_URL": url}).index_url == url
    for url in ("milvus:19530", "http://user:secret@milvus:19530", "data/index", "ftp://x/index.db"):
        with pytest.raises(SettingsError, match="FOOTNOTE_INDEX_URL is"):
            load_settings(environ={"FOOTNOTE_INDEX_URL": url})
    with pytest.raises(SettingsError, match="allowed: one process for a file"):
        load_settings(environ={"FOOTNOTE_INDEX_URL": "index.db", "FOOTNOTE_WORKERS": "2"})
    token = load_settings(environ={"FOOTNOTE_INDEX_TOKEN": "user:secret"}).describe()
    assert {row["value"] for row in token if row["name"] == "FOOTNOTE_INDEX_TOKEN"} == {"****"}
