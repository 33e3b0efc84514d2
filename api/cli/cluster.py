"""Commands whose work is done by a cluster: ``--ray ADDRESS``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import cast

import typer

from api.cli.context import err
from api.services import Services
from infra.errors import SettingsError
from infra.settings import Settings
from ingest.cluster import on_cluster
from ingest.cluster_worker import WorkerSettings, load_on_worker
from ingest.runner import JobRunner
from retrieval.encoders.encoder import RuntimeName

RAY_OPTION = typer.Option(
    None,
    "--ray",
    metavar="ADDRESS",
    help="Read and embed on a Ray cluster: local starts one here; auto, HOST:PORT or ray://HOST:PORT joins one.",
)


def check_ray(address: str | None) -> None:
    """Refuse, before anything is opened, what cannot work: ``SettingsError`` if Ray is not installed, ``InvalidInput`` for an
    address that no cluster can have.
    """
    if address is None:
        return
    try:
        from ingest.ray_cluster import check_address  # noqa: PLC0415 - takes a second, and an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "ray":
            raise
        raise SettingsError(
            "--ray needs Ray, which is not installed: pip install 'footnote[ray]', here and on each machine of the cluster."
        ) from None
    check_address(address)


@contextmanager
def on_ray(services: Services, address: str | None) -> Iterator[Services]:
    """The same services with ingestion on the Ray cluster at ``address``, which ``check_ray`` let pass; unchanged without one.

    Raises as ``ingest.ray_cluster.open_ray``.
    """
    if address is None:
        yield services
        return
    from ingest.ray_cluster import open_ray  # noqa: PLC0415 - see above

    with ExitStack() as stack:
        with err.status("Starting workers on the cluster"):
            settings = worker_settings(services.settings, address)
            cluster = stack.enter_context(open_ray(address, settings, services.ingestion.encoder))
        ingestion = on_cluster(services.ingestion, cluster)
        runner = JobRunner(ingestion, services.spool, services.runner.open_source)
        yield replace(services, ingestion=ingestion, runner=runner)


def worker_settings(settings: Settings, address: str) -> WorkerSettings:
    """What the cluster's workers are to be like; those of this machine may use its cache folder."""
    cache = settings.cache.absolute() if address == "local" else None
    runtime = cast("RuntimeName", settings.encoder_runtime)
    return WorkerSettings(
        load_encoder=partial(load_on_worker, settings.encoder, runtime, cache),
        # Counting tokens needs no faster runtime than the one that every machine has.
        load_tokens=partial(load_on_worker, settings.encoder, "torch", cache),
        parse_timeout_s=settings.parse_timeout_s,
        parse_memory_mb=settings.parse_memory_mb,
        ocr=settings.ocr,
    )
