"""Every setting of Footnote: read once at the start, handed down, and read nowhere else.

A setting ``x_y`` comes from the environment as ``FOOTNOTE_X_Y``, else from ``footnote.toml`` as ``x_y``, else from its default.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from infra.errors import SettingsError

PREFIX = "FOOTNOTE_"
# FOOTNOTE_SECRET_X is the secret X that a connector's configuration may name.
SECRET_PREFIX = "FOOTNOTE_SECRET_"  # noqa: S105 - a name, not a secret
_DATA_DIR = Path("data")


def _path(raw: str) -> Path:
    return Path(raw).expanduser()


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return raw

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            raise ValueError(f"a whole number from {low} to {high}") from None
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def _url(raw: str) -> str:
    if not raw.startswith(("http://", "https://")):
        raise ValueError("an address starting with http:// or https://")
    return raw.rstrip("/")


def _database_url(raw: str) -> str:
    if raw.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        return raw
    raise ValueError("sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


def _index_url(raw: str) -> str:
    if raw.startswith(("http://", "https://", "tcp://")):
        if "@" not in raw:  # a password has a setting of its own, which is not shown
            return raw.rstrip("/")
    elif raw.endswith(".db") and "://" not in raw:
        return raw
    raise ValueError("http://HOST:19530, https://… or tcp://… without a password, or a milvus-lite file, FILE.db")


def _folders(raw: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser().resolve() for part in raw.split(os.pathsep) if part)


def _addresses(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def _languages(raw: str) -> str:
    if re.fullmatch(r"[A-Za-z]\w*(?:/\w+)?(?:\+[A-Za-z]\w*(?:/\w+)?)*", raw, re.ASCII):
        return raw
    raise ValueError("names of Tesseract's languages joined by +, as in eng or eng+deu")


def _setting(default: Any, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "meaning": meaning, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force. ``origins`` says for each name where its value came from."""

    data_dir: Path = _setting(_DATA_DIR, _path, "Folder that holds the database and uploads that wait.")
    database_url: str | None = _setting(
        None, _database_url, "SQLAlchemy address of the database; unset = SQLite in the data folder.", secret=True
    )
    index_url: str | None = _setting(
        None,
        _index_url,
        "Milvus that keeps the indexes: http://HOST:19530, or a milvus-lite file ending in .db; unset = no Milvus.",
    )
    index_token: str | None = _setting(None, str, "Token for Milvus: `user:password`, or a service's key.", secret=True)
    encoder: str = _setting(
        "all-MiniLM-L6-v2", str, "Sentence-transformers model that embeds chunks and questions: a name or a folder."
    )
    previous_encoder: str | None = _setting(
        None,
        str,
        "The encoder before the present one, for collections that were not yet built anew: a name or a folder.",
    )
    encoder_runtime: str = _setting(
        "auto",
        _choice("auto", "torch", "openvino"),
        "Library that runs the encoder; `auto` measures once which is the faster on this machine.",
    )
    cache_dir: Path | None = _setting(
        None, _path, "Folder for what can be made again, such as converted models; unset = `cache` in the data folder."
    )
    reranker: str | None = _setting(
        None,
        str,
        "What reorders results where a search asks for it: `none`, `late-interaction`, or a cross-encoder's name or folder.",
    )
    verifier: str = _setting(
        "deterministic", _choice("deterministic"), "Which verifier checks answers; `deterministic` needs no model."
    )
    llm_base_url: str | None = _setting(
        None, _url, "Address of the model server, e.g. http://127.0.0.1:8080/v1; unset = the extractive writer."
    )
    llm_model: str | None = _setting(None, str, "Model name asked of the server; unset = the first one that it lists.")
    llm_api: str = _setting(
        "openai",
        _choice("openai", "tgi"),
        "`openai` for the chat API, `tgi` for text-generation-inference's /generate.",
    )
    llm_api_key: str | None = _setting(None, str, "Bearer token for the model server.", secret=True)
    llm_timeout_s: int = _setting(60, _integer(1, 3600), "Seconds that the model server has for a whole answer.")
    host: str = _setting("127.0.0.1", str, "Address to listen on.")
    port: int = _setting(8000, _integer(1, 65535), "Port to listen on.")
    workers: int = _setting(1, _integer(1, 64), "Server processes.")
    auth: str = _setting(
        "keys", _choice("keys", "off"), "`keys` asks for a bearer key; `off` trusts every caller, on loopback only."
    )
    oidc_issuer: str | None = _setting(None, _url, "Reserved for single sign-on: the issuer whose tokens are accepted.")
    oidc_audience: str | None = _setting(None, str, "Reserved for single sign-on: the audience that tokens must name.")
    log_format: str = _setting("text", _choice("json", "text"), "Log lines as JSON objects or as text.")
    max_upload_mb: int = _setting(100, _integer(1, 10_000), "Largest accepted request body, in MiB.")
    max_waiting_mb: int = _setting(
        10_240, _integer(1, 100_000_000), "Uploads that may wait to be worked on, in MiB together; more are sent away."
    )
    parse_timeout_s: int = _setting(120, _integer(1, 3600), "Seconds that one document may take to parse.")
    parse_memory_mb: int = _setting(2048, _integer(256, 65536), "Memory that one document may take to parse, in MiB.")
    job_concurrency: int = _setting(
        2, _integer(0, 64), "Jobs that each process works on at a time; 0 = none here, `footnote worker` does them."
    )
    merge_chunks: int = _setting(
        20_000,
        _integer(0, 100_000_000),
        "Chunks that changed since an index's files were written, from which on they are written anew; 0 = never.",
    )
    keep_versions_days: int | None = _setting(
        None, _integer(1, 36500), "Days that a replaced version of a document stays readable; unset = for ever."
    )
    source_roots: tuple[Path, ...] = _setting(
        (),
        _folders,
        "Folders below which any caller with scope `ingest` may make sources, split by `:`; elsewhere, admins only.",
    )
    source_addresses: tuple[str, ...] = _setting(
        (),
        _addresses,
        "Private hosts and networks that web sources may reach, split by commas, e.g. wiki.corp,10.1.0.0/16.",
    )
    ocr: str | None = _setting(
        None, _languages, "Languages that text in scans and pictures is recognised in, e.g. eng+deu; unset = it is not."
    )
    origins: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def database(self) -> str:
        """The SQLAlchemy address of the database, with the driver named."""
        raw = self.database_url
        if raw is None:
            return f"sqlite:///{self.data_dir.absolute() / 'footnote.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if raw.startswith(prefix):
                return "postgresql+psycopg://" + raw.removeprefix(prefix)
        return raw

    @property
    def index_dir(self) -> Path:
        """The folder of the index files."""
        return self.data_dir / "index"

    @property
    def cache(self) -> Path:
        """The folder for what can be made again."""
        return self.cache_dir or self.data_dir / "cache"

    def describe(self) -> list[dict[str, str | None]]:
        """Each setting's environment name, meaning, value (secrets masked) and origin."""
        rows: list[dict[str, str | None]] = []
        for item in _definitions():
            value = getattr(self, item.name)
            shown = None if value is None or value == () else "****" if item.metadata["secret"] else _shown(value)
            rows.append(
                {
                    "name": PREFIX + item.name.upper(),
                    "value": shown,
                    "origin": self.origins.get(item.name, "default"),
                    "meaning": item.metadata["meaning"],
                }
            )
        return rows


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _definitions() -> list[Any]:
    return [item for item in fields(Settings) if "parse" in item.metadata]


def load_settings(
    environ: Mapping[str, str] | None = None, file: Path | None = None, overrides: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings. Raises ``SettingsError`` with one line that says which is wrong and what is allowed.

    ``file`` defaults to ``footnote.toml`` in the working folder, if there is one; ``overrides`` are command line options.
    """
    environ = os.environ if environ is None else environ
    known = {item.name: item for item in _definitions()}
    raw: dict[str, tuple[str, str]] = {}
    secrets: dict[str, str] = {}
    for name, value in _read_file(file or Path("footnote.toml"), required=file is not None).items():
        _known(name, known, shown=f"{name} in footnote.toml")
        raw[name] = (value, "footnote.toml")
    for variable, value in environ.items():
        if variable.startswith(SECRET_PREFIX):
            secrets[variable.removeprefix(SECRET_PREFIX)] = value
        elif variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower()
            _known(name, known, shown=variable)
            raw[name] = (value, "environment")
    for name, value in (overrides or {}).items():
        raw[name] = (value, "command line")
    values: dict[str, Any] = {}
    for name, (text, origin) in raw.items():
        if text == "":
            continue
        try:
            values[name] = known[name].metadata["parse"](text)
        except ValueError as error:
            shown = "(a secret)" if known[name].metadata["secret"] else repr(text)
            raise SettingsError(f"{PREFIX}{name.upper()} is {shown} ({origin}); allowed: {error}.") from None
        values.setdefault("origins", {})[name] = origin
    settings = Settings(**values, secrets=secrets)
    if settings.max_waiting_mb < settings.max_upload_mb:
        raise SettingsError(
            f"FOOTNOTE_MAX_WAITING_MB is {settings.max_waiting_mb} and FOOTNOTE_MAX_UPLOAD_MB is {settings.max_upload_mb}; "
            "allowed: at least as much waiting as one upload may have."
        )
    if settings.index_url is not None and settings.index_url.endswith(".db") and settings.workers > 1:
        raise SettingsError(
            f"FOOTNOTE_INDEX_URL is a milvus-lite file and FOOTNOTE_WORKERS is {settings.workers}; "
            "allowed: one process for a file, or the address of a Milvus server."
        )
    if settings.auth == "off" and not is_loopback(settings.host):
        raise SettingsError(
            f"FOOTNOTE_AUTH is 'off' and FOOTNOTE_HOST is {settings.host!r}; "
            "allowed: auth off on a loopback address such as 127.0.0.1, or FOOTNOTE_AUTH=keys."
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _known(name: str, known: Mapping[str, Any], *, shown: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {PREFIX}{close[0].upper()}?" if close else ""
    allowed = ", ".join(PREFIX + item.upper() for item in known)
    raise SettingsError(f"{shown} is not a setting.{hint} Allowed: {allowed}.")


def _read_file(path: Path, *, required: bool) -> dict[str, str]:
    if not path.is_file():
        if required:
            raise SettingsError(f"the settings file {path} does not exist.")
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}.") from None
    for name, value in content.items():
        if not isinstance(value, str | int):
            raise SettingsError(f"{name} in {path.name} must be a string or a number.")
    return {name: str(value) for name, value in content.items()}
