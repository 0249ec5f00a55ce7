"""Worker processes: what a file's bytes can make slow or large happens outside of the server."""
