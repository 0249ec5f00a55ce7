"""The HTTP endpoints, server-sent events and limits."""
