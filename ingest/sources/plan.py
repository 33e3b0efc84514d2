"""What a source's kind, uri and options mean, checked without touching the network or the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from infra.errors import FieldError, InvalidInput
from ingest.sources.address import AddressRefused, AddressRules, address_rules
from ingest.sources.connectors import ConnectorPlan, source_entry
from ingest.sources.git import GitPlan
from ingest.sources.git_url import check_folder, check_ref, parse_git_url
from ingest.sources.links import canonical
from ingest.sources.store_url import WEB, StoreUrl, check_driver, parse_store_url, store_options
from ingest.sources.web import WebPlan

KINDS = ("directory", "fsspec", "git", "web", "connector")
SERVICES = (
    *(
        "airtable",
        "box",
        "confluence",
        "discord",
        "dropbox",
        "github",
        "gitlab",
        "google-drive",
        "jira",
        "local",
        "notion",
    ),
    *("onedrive", "outlook", "salesforce", "sharepoint", "slack", "zendesk"),
)
_SITEMAP_ENDS = (".xml", ".xml.gz")
_SITEMAP_PAGES, _CRAWL_PAGES, _DEPTH = 50_000, 1000, 3

_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
_Depth = Annotated[int, msgspec.Meta(ge=0, le=50)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=250)]


class SecretRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret by the name of the environment variable that holds it, so that it is in no database and no answer."""

    env: _Name


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directory has none."""


class StoreOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of object stores: where the bucket is, and whether to ask without credentials."""

    region: _Name | None = None
    endpoint: _Name | None = None
    account: _Name | None = None
    anonymous: bool = False


class GitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of git: branch, tag or commit; folder; and for https the token, with the user name that the host wants beside it."""

    ref: _Name | None = None
    folder: _Name | None = None
    token: SecretRef | None = None
    username: _Name = "x-access-token"


class WebOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the web: see ``WebPlan``; without ``mode``, a ``depth`` means a crawl, an address that ends in .xml a sitemap."""

    mode: Literal["page", "sitemap", "crawl"] | None = None
    depth: _Depth | None = None
    max_pages: _Count | None = None
    trust_lastmod: bool = False


class ConnectorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a connector: its settings, as the library names them; ``{"env": NAME}`` stands for a secret anywhere."""

    connection: dict[str, Any] = {}
    index: dict[str, Any] = {}
    download: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class DirectoryPlan:
    """A folder or file of this machine."""

    root: Path


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A store that fsspec or obstore reads, and its driver's options."""

    url: StoreUrl
    options: Mapping[str, Any]


Plan = DirectoryPlan | StorePlan | GitPlan | WebPlan | ConnectorPlan
_T = TypeVar("_T")


def check_source(
    kind: str,
    uri: str,
    options: Mapping[str, Any] | None = None,
    *,
    allow_addresses: Sequence[str] = (),
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Raise ``InvalidInput`` with one sentence if a source cannot be meant so. ``secrets`` given: those named must be there."""
    plan_source(kind, uri, options or {}, address_rules(allow_addresses), secrets)


def local_path(kind: str, uri: str, options: Mapping[str, Any] | None = None) -> Path | None:
    """The path of this machine that a source would read, also inside an archive; ``None`` if it reads elsewhere.

    Whoever lets strangers add sources must resolve it (it may hold ``..`` and links) and hold it to the folders that may be
    read. Raises ``InvalidInput``.
    """
    plan = plan_source(kind, uri, options or {}, AddressRules(), None, parse_only=True)
    if isinstance(plan, DirectoryPlan):
        return plan.root
    if isinstance(plan, StorePlan):
        return plan.url.path
    if isinstance(plan, GitPlan):
        return plan.url.local
    if isinstance(plan, ConnectorPlan) and plan.name == "local":
        return Path(str(plan.index.get("input_path", "/")))
    return None


def is_local(kind: str, uri: str, options: Mapping[str, Any] | None = None) -> bool:
    """Whether a source would read this machine's files."""
    return local_path(kind, uri, options) is not None


def plan_source(
    kind: str,
    uri: str,
    options: Mapping[str, Any],
    rules: AddressRules,
    secrets: Mapping[str, str] | None,
    *,
    parse_only: bool = False,
) -> Plan:
    """A source's plan; secrets are filled in from ``secrets``, or left out if it is ``None``.

    ``parse_only``: what the operator has installed and allows is not asked. Raises ``InvalidInput``.
    """
    if not uri or not uri.isprintable():
        raise _invalid("uri", "The uri is empty, or has characters that cannot be shown.")
    match kind:
        case "directory":
            _options(options, NoOptions)
            return DirectoryPlan(_directory(uri))
        case "fsspec":
            return _store(uri, _options(options, StoreOptions), None if parse_only else rules)
        case "git":
            return _git(uri, _options(options, GitOptions), secrets)
        case "web":
            return _web(uri, _options(options, WebOptions), None if parse_only else rules)
        case "connector":
            return _connector(uri, _options(options, ConnectorOptions), secrets)
    raise _invalid("kind", f"{kind!r} is no kind of source; allowed: {', '.join(KINDS)}.")


def _directory(uri: str) -> Path:
    parts = urlsplit(uri) if uri.startswith("file:") else None
    path = Path(unquote(parts.path) if parts else uri)
    if not path.is_absolute() or (parts and parts.hostname):
        raise _invalid("uri", "A directory is given by an absolute path, or by file:// and one.")
    return path


def _store(uri: str, options: StoreOptions, rules: AddressRules | None) -> StorePlan | WebPlan:
    url = parse_store_url(uri)
    if url.protocol in WEB:
        address = canonical(f"{url.protocol}://{url.place}")
        if address is None:
            raise _invalid("uri", "This is no address of the web.")
        page = _web(address, WebOptions(mode="page"), rules)
        if url.archive is None:
            return page
    if rules is not None:
        check_driver(url)
    endpoint = urlsplit(options.endpoint) if options.endpoint else None
    if endpoint and (endpoint.scheme not in {"http", "https"} or endpoint.username or not endpoint.hostname):
        raise _invalid(
            "options.endpoint", "options.endpoint must be an http or https address without user and password."
        )
    for host in (url.host, endpoint.hostname if endpoint else None):
        if rules is not None and host is not None and not rules.names(host):
            detail = f"{host} must be allowed by the operator as a source: the driver connects to it by itself."
            raise _invalid("uri", detail, code="address_refused")
    return StorePlan(url, store_options(url, msgspec.to_builtins(options)))


def _git(uri: str, options: GitOptions, secrets: Mapping[str, str] | None) -> GitPlan:
    url = parse_git_url(uri)
    if options.token and url.protocol != "https":
        raise _invalid("options.token", "options.token is sent over https only.")
    return GitPlan(
        url,
        check_ref(options.ref) if options.ref else None,
        check_folder(options.folder) if options.folder else None,
        options.username,
        _secret(options.token.env, secrets) if options.token else None,
    )


def _web(uri: str, options: WebOptions, rules: AddressRules | None) -> WebPlan:
    address = canonical(uri)
    if address is None:
        raise _invalid("uri", "Give an http or https address without user and password, of at most 1,024 characters.")
    if rules is not None:
        try:
            rules.check_literal(urlsplit(address).hostname or "")
        except AddressRefused as error:
            raise _invalid("uri", error.detail, code="address_refused") from error
    path = urlsplit(address).path
    mode = options.mode or ("crawl" if options.depth else "sitemap" if path.endswith(_SITEMAP_ENDS) else "page")
    pages = options.max_pages or (_SITEMAP_PAGES if mode == "sitemap" else _CRAWL_PAGES)
    depth = _DEPTH if options.depth is None else options.depth
    return WebPlan(address, mode, depth, pages, options.trust_lastmod)


def _connector(uri: str, options: ConnectorOptions, secrets: Mapping[str, str] | None) -> ConnectorPlan:
    service = uri.partition("://")[0]
    if "://" not in uri or service not in SERVICES:
        raise _invalid("uri", f"A connector's uri begins with its name and ://; allowed: {', '.join(SERVICES)}.")
    name = service.replace("-", "_")
    try:
        entry = source_entry(name)
    except ImportError as error:
        detail = "Connectors need a package that is not installed: pip install 'footnote[connectors]'."
        raise InvalidInput(detail, code="driver_missing") from error
    sections = (
        ("connection", entry.connection_config, options.connection),
        ("index", entry.indexer_config, options.index),
        ("download", entry.downloader_config, options.download),
    )
    for section, model, values in sections:
        _check_names(section, model, values)
    _check_no_literal(options.connection.get("access_config", {}))
    filled = [_filled(values, secrets) for _, _, values in sections]
    return ConnectorPlan(name, *filled)


def _check_names(section: str, model: Any, values: Mapping[str, Any]) -> None:
    """Refuse a setting that the library's model has not, and the lack of one that it needs."""
    fields = model.model_fields if model is not None else {}
    known = {field.alias or name: field.is_required() for name, field in fields.items() if name != "download_dir"}
    for name in values:
        if name not in known:
            raise _invalid(f"options.{section}.{name}", f"options.{section} takes: {', '.join(known) or 'nothing'}.")
    missing = [name for name, needed in known.items() if needed and name not in values]
    if missing:
        raise _invalid(f"options.{section}", f"options.{section} lacks: {', '.join(missing)}.")


def _check_no_literal(value: Any) -> None:
    """What a connector's ``access_config`` holds is secret: it must be named, not written down."""
    if isinstance(value, str):
        raise _invalid("options.connection.access_config", 'Name each secret as {"env": "NAME"}; write none down.')
    if isinstance(value, dict) and set(value) != {"env"}:
        for inner in value.values():
            _check_no_literal(inner)


def _filled(value: Any, secrets: Mapping[str, str] | None) -> Any:
    """``value`` with each ``{"env": NAME}`` in it replaced by the secret."""
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            return _secret(value["env"], secrets)
        return {name: _filled(inner, secrets) for name, inner in value.items()}
    return [_filled(inner, secrets) for inner in value] if isinstance(value, list) else value


def _secret(name: str, secrets: Mapping[str, str] | None) -> str:
    if secrets is None:
        return ""
    if not secrets.get(name):
        detail = f"The secret {name} is not set: the operator gives it to sources as FOOTNOTE_SECRET_{name}."
        raise _invalid("options", detail, code="secret_missing")
    return secrets[name]


def _options(options: Mapping[str, Any], model: type[_T]) -> _T:
    try:
        return msgspec.convert(dict(options), model)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        name = f"options{place.rstrip('`')}"
        raise _invalid(name, f"Bad {name}: {message}.") from error


def _invalid(field: str, detail: str, *, code: str = "invalid_source") -> InvalidInput:
    return InvalidInput(detail, code=code, errors=(FieldError(field, detail),))
