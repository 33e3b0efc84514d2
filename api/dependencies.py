"""What handlers are given: the services and the caller."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import Provide

from api.caller import GROUPS_HEADER, Caller, identify
from api.services import Services


def provide_services(state: State) -> Services:
    """The services that the application opened at its start."""
    services: Services = state.services
    return services


def provide_caller(request: Request[Any, Any, Any], state: State) -> Caller:
    """Who is calling; raises for a missing or unknown key, before the handler runs."""
    services: Services = state.services
    headers = request.headers
    return identify(services.database, services.settings.auth, headers.get("authorization"), headers.get(GROUPS_HEADER))


DEPENDENCIES = {
    "services": Provide(provide_services, sync_to_thread=False),
    "caller": Provide(provide_caller, sync_to_thread=True),
}
