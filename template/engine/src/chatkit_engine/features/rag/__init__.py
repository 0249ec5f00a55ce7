"""Retrieval: documents that are ingested, searched and cited."""
