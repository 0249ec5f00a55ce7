"""Tests the pytest plugin of `chatkit_engine.testing`."""

import subprocess
import sys
from pathlib import Path

TESTS = """
def test_quick(): pass
def test_a_server(postgres_url): pass
def test_each(each_database): pass
"""


def test_what_starts_postgresql_is_slow_though_it_is_not_marked(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p chatkit_engine.testing.plugin\nasyncio_mode = auto\n"
        "markers =\n    slow: not quick\n"
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    chosen = [line for line in listed.stdout.splitlines() if "::" in line]
    assert chosen == ["test_it.py::test_quick", "test_it.py::test_each[sqlite]"]
