"""A real S3 API on loopback, from the `moto` package."""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx2
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel("ERROR")


class S3:
    """A server, and the buckets that tests make on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._names: Iterator[str] = (f"bucket-{number}" for number in count())

    def create_bucket(self) -> dict[str, Any]:
        """Return the settings' values for a new bucket."""
        name = next(self._names)
        httpx2.put(f"{self.url}/{name}").raise_for_status()
        return {
            "upload_bucket": name,
            "upload_endpoint_url": self.url,
            "upload_region": "us-east-1",
            "upload_access_key_id": "for-tests",
            "upload_secret_access_key": "for-tests-only",
        }


@contextmanager
def running_s3() -> Generator[S3]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
