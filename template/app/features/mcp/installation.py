"""What the feature adds to the application: the endpoint `/mcp`, and the servers' tools."""

from app.builder import Builder
from app.features.mcp.client.connection import Connection
from app.features.mcp.client.health import health_check
from app.features.mcp.client.own import OWN, own_server
from app.features.mcp.client.tools import ToolShelf
from app.features.mcp.http import HttpEndpoint
from app.features.mcp.settings import McpSettings, ServerSettings
from app.observability.logs import hide_secrets
from app.tools import discover_tools


def add_to(builder: Builder) -> None:
    settings = McpSettings()
    hide_secrets(settings)
    if settings.mcp_http:
        endpoint = HttpEndpoint(builder.database)
        builder.add_resource(endpoint.running)
        builder.add_router(endpoint.router)
    if settings.mcp_own_server and (own := own_server(builder.settings, builder.database)):
        _connect(builder, OWN, own)
    for name, server in settings.mcp_servers.items():
        _connect(builder, name, server)


def _connect(builder: Builder, name: str, server: ServerSettings) -> None:
    connection = Connection(name, server)

    def taken() -> set[str]:
        return {tool.name for tool in (*discover_tools(), *builder.tools)}

    builder.add_resource(connection.running)
    builder.add_tool_source(ToolShelf(connection, taken).tools, parallel=server.parallel)
    builder.add_health_check(health_check(connection))
