"""What `/health/ready` says of a server."""

from app.features.mcp.client.connection import Connection
from app.http.health import Check, HealthCheck


def health_check(connection: Connection) -> HealthCheck:
    """Return a check that fails only where the server is `required`: the rest works without it."""

    async def check() -> Check:
        return Check(
            name=f"mcp {connection.name}",
            ok=connection.is_open or not connection.settings.required,
            detail=_detail(connection),
        )

    return check


def _detail(connection: Connection) -> str:
    if connection.is_open:
        return f"connected, {len(connection.tools)} tools"
    return "cannot be reached, trying again" if connection.is_away else "connecting"
