"""MCP: a server of the project's own, and the tools of other servers."""
