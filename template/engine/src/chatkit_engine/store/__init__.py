"""The SQL store: threads, turns, leases, files, search, usage and migrations."""
