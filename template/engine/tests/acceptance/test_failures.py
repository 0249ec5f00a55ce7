"""Tests promises that hold while servers are killed, threads contended or PostgreSQL is down."""

from pathlib import Path
from random import Random

import pytest
from support.failures.contention import Contention
from support.failures.findings import Findings
from support.failures.kills import Kills
from support.failures.outage import Load, Outage
from support.failures.site import Site, postgres_site, sqlite_site
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.postgres import running_postgres

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path, model_api: FakeModelApi) -> Site:
    if request.param == "sqlite":
        return sqlite_site(tmp_path, model_api)
    return postgres_site(tmp_path, request.getfixturevalue("postgres"), model_api)


def _check(findings: Findings, *seen: str) -> None:
    assert findings.broken == []
    assert [name for name in seen if not findings.numbers.get(name)] == []


async def test_acknowledged_data_survives_a_kill(site: Site) -> None:
    async def end_leases(_: float) -> None:
        """A dead process's lease lasts for ten seconds, which this does not wait for."""
        database = open_database(Settings(database_url=site.database_url))
        past = "UPDATE turns SET lease_expires_at = 0 WHERE state = 'running'"
        await database.write(run_sql, past)
        await database.aclose()

    kills = Kills(site, Random(3), max_seconds=1.5, after_lease=end_leases)  # noqa: S311

    _check(await kills.run(rounds=2), "acknowledged", "partials checked", "next turns ok")


async def test_one_of_fifty_turns_at_once_runs(site: Site) -> None:
    contention = Contention(site, servers=2 if site.postgres else 1, turns=50)

    _check(await contention.run(tries=1), "won, the model held", "refused, to be retried")


async def test_an_outage_of_the_database_loses_nothing(
    tmp_path: Path, model_api: FakeModelApi
) -> None:
    with running_postgres(durable=True) as postgres:
        outage = Outage(
            postgres_site(tmp_path, postgres, model_api),
            Load(clients=5, before=1, away=2, after=0),
        )

        _check(
            await outage.run(), "told as done, stored whole", "refused: 503", "not ready while away"
        )
