"""Sends a server requests that nobody would send, and reports the slowest and the server's memory.

    make fuzz                   # 12,500 ChatKit requests, and most as many over other routes
    python bench/fuzz.py --count 500 --seed 2

The ChatKit requests are made from the SDK's types (`template/engine/tests/support/fuzz.py`). The
others are made by schemathesis from the OpenAPI document. It fails at the first answer of 500 or
more, and if a request takes longer than a second.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1] / "template"))
sys.path.insert(0, str(Path(__file__).parents[1] / "template/engine/tests"))

from strangers import ATTACKER, SETTINGS, Site, running_site
from support.fuzz import Fuzzer

from chatkit_engine.testing.app import bearer
from chatkit_engine.testing.requests import create, events, thread_id

AT_ONCE = 4
MAX_SECONDS = 1.0
SERVER_ERROR = 500
HEADERS = {"Content-Type": "application/json", **bearer(SETTINGS, ATTACKER)}


class Findings:
    """Statuses, times and faults of what was sent."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.faults: list[str] = []

    def add(self, status: int, seconds: float, body: bytes, answer: str) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if status >= SERVER_ERROR or "internal_error" in answer or seconds > MAX_SECONDS:
            self.faults.append(f"{status} after {seconds:.2f} s: {body[:500]!r}")


async def _post(site: Site, body: bytes) -> tuple[int, str]:
    async with site.http.post(f"{site.server.url}/chatkit", data=body, headers=HEADERS) as response:
        return response.status, (await response.read()).decode()


async def chatkit_requests(site: Site, count: int, seed: int) -> Findings:
    """Send the requests, some at once. Their thread is one that the server has."""
    _status, streamed = await _post(site, json.dumps(create("Hello")).encode())
    thread = thread_id(events(streamed))
    listing = {"type": "items.list", "params": {"thread_id": thread}}
    _status, listed = await _post(site, json.dumps(listing).encode())
    items = [item["id"] for item in json.loads(listed)["data"]]
    known = {"thread_id": [thread], "item_id": items, "item_ids": items}
    requests = Fuzzer(seed, known).requests(count)
    findings = Findings()

    async def send() -> None:
        for request in requests:
            body = json.dumps(request).encode("utf-8", "surrogatepass")
            start = time.monotonic()
            status, answer = await _post(site, body)
            findings.add(status, time.monotonic() - start, body, answer)

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return findings


def other_requests(url: str, count: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Run schemathesis over the routes, about `count` requests in all."""
    with urlopen(f"{url}/openapi.json") as document:  # noqa: S310
        paths = json.load(document)["paths"]
    operations = sum(len(operations) for operations in paths.values())
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: {HEADERS['Authorization']}", "--seed", str(seed)),
        *("--checks", "not_a_server_error", "--max-response-time", str(MAX_SECONDS)),
        *("--max-examples", str(count // operations), "--phases", "coverage,fuzzing"),
        *("--no-color", "--continue-on-failure"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12_500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        async with running_site(Path(folder)) as site:
            await chatkit_requests(site, 200, options.seed + 1)
            before = site.rss_mib()
            findings = await chatkit_requests(site, options.count, options.seed)
            print(f"ChatKit: {findings.statuses.total()} requests, {dict(findings.statuses)}")
            print(f"slowest: {max(findings.seconds) * 1000:.0f} ms")
            print(f"memory: {before:.0f} MiB before, {site.rss_mib():.0f} MiB after")
            others = await asyncio.to_thread(
                other_requests, site.server.url, options.count, options.seed
            )
            print("\n".join(others.stdout.splitlines()[-40:]))
            print(f"memory: {site.rss_mib():.0f} MiB")
            print("\n".join(findings.faults))
            sys.exit(bool(findings.faults) or others.returncode)


if __name__ == "__main__":
    asyncio.run(main())
