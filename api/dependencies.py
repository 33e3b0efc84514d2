"""What handlers are given: the services and the caller."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from api.caller import GROUPS_HEADER, Caller, identify
from api.services import Services


def provide_services(state: State) -> Services:
    """The services that the application opened at its start."""
    services: Services = state.services
    return services


async def authenticate(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: tells who is calling before the body is read; raises for a missing or unknown key.

    Handlers that take no ``caller`` are open to everybody.
    """
    if "caller" not in handler.parsed_fn_signature.parameters:
        return
    services: Services = connection.app.state.services
    authorization, groups = connection.headers.get("authorization"), connection.headers.get(GROUPS_HEADER)
    auth = services.settings.auth
    connection.state.caller = await asyncio.to_thread(identify, services.database, auth, authorization, groups)


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Who is calling, as ``authenticate`` found out."""
    caller: Caller = request.state.caller
    return caller


DEPENDENCIES = {
    "services": Provide(provide_services, sync_to_thread=False),
    "caller": Provide(provide_caller, sync_to_thread=False),
}
