"""Logs and health checks."""
