"""Runs pieces of Python, each in a process and a folder of its own; the SDKs are imported once.

Reads JSON lines of `{"code": TEXT}` and answers each with `{"ok": BOOL, "output": TEXT}`. A piece
runs in a fork of this process, with the SDKs' warnings silenced.
"""

import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

SECONDS = 60


def main() -> None:
    warnings.simplefilter("ignore")
    import app.main  # noqa: F401, PLC0415 (slow to import)

    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            ok = _run(json.loads(line)["code"], folder, output)
            print(json.dumps({"ok": ok, "output": output.read_text()[-4000:]}), flush=True)


def _run(code: str, folder: str, output: Path) -> bool:
    child = os.fork()
    if child == 0:
        _become(code, folder, output)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _become(code: str, folder: str, output: Path) -> None:
    """Run the code and end this process."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(folder)
    signal.alarm(SECONDS)
    status = 0
    try:
        exec(compile(code, "block", "exec"), {"__name__": "__main__"})  # noqa: S102 (our own texts)
    except BaseException as error:
        traceback.print_exc()
        status = 0 if isinstance(error, SystemExit) and not error.code else 1
    sys.stdout.flush()
    os._exit(status)


main()
