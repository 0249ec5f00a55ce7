"""Persistence: tables, migrations, the ChatKit store, leases and search."""
