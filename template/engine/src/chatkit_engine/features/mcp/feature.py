"""MCP: the endpoint `/mcp` of the application's own server, and the tools of other servers."""

from collections.abc import Sequence
from functools import partial

from agents import Tool

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.builder import Builder
from chatkit_engine.features.mcp.client.connection import ServerConnection, running_together
from chatkit_engine.features.mcp.client.tools import OWN_SERVER, ServerTools, own_server_settings
from chatkit_engine.features.mcp.http import HttpEndpoint
from chatkit_engine.features.mcp.settings import McpSettings
from chatkit_engine.observability.health import HealthCheck, HealthStatus
from chatkit_engine.observability.logs import hide_secrets


def install(builder: Builder) -> None:
    settings = McpSettings()
    hide_secrets(settings)
    if settings.mcp_http:
        endpoint = HttpEndpoint(builder.app, builder.database)
        builder.add_resource(endpoint.running)
        builder.add_router(endpoint.router)
    servers = dict(settings.mcp_servers)
    if settings.mcp_own_server and (
        own := own_server_settings(builder.app, builder.settings, builder.database)
    ):
        servers = {OWN_SERVER: own, **servers}
    connections = [ServerConnection(name, server) for name, server in servers.items()]
    builder.add_resource(partial(running_together, connections))
    for connection in connections:
        _offer(builder, connection)


def _offer(builder: Builder, connection: ServerConnection) -> None:
    def taken_names() -> set[str]:
        return {tool.name for tool in builder.tools}

    server_tools = ServerTools(connection, taken_names)

    async def tools(context: TurnContext) -> Sequence[Tool]:
        return await server_tools.tools()

    builder.add_tool_source(tools, parallel=connection.settings.parallel)
    builder.add_health_check(health_check(connection))


def health_check(connection: ServerConnection) -> HealthCheck:
    """Return a health check, which fails only for a `required` server."""

    async def check() -> HealthStatus:
        return HealthStatus(
            name=f"mcp {connection.name}",
            ok=connection.is_open or not connection.settings.required,
            detail=_detail(connection),
        )

    return check


def _detail(connection: ServerConnection) -> str:
    if connection.is_open:
        return f"connected, {len(connection.tools)} tools"
    return "cannot be reached, retrying" if connection.is_unreachable else "connecting"
