"""Readers: from a file to a document in chunks."""
