"""Runs conversations by name. Each is a function in a scenario file."""

import os
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path

import httpx2
from pydantic import SecretStr

from chatkit_engine.discovery import values_in
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi
from support.app import ROOT, SECRET, TESTS, Server, running_server
from support.protocol.recording import Recording, Wire
from support.protocol.sdk import HIDDEN, Kind
from support.protocol.serve import LOG
from support.protocol.talk import Talk
from support.protocol.transcript import normal

Play = Callable[[Talk], None]

PROVIDERS: dict[Wire, dict[str, str]] = {
    "responses": {
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": "sk-test",
        "IMAGE_GENERATION": "true",
    },
    "chat_completions": {"LLM_PROVIDER": "custom", "TRANSCRIPTION_MODEL": "fake"},
}
ENVIRONMENT = {
    "LLM_MODEL": "fake",
    "LLM_MODELS": "another",
    "LLM_MAX_RETRIES": "0",
    "THREAD_TITLES": "false",
    "BLOCKED_INPUT": '["forbidden"]',
    "BLOCKED_OUTPUT": '["secret"]',
    "AUTH_MODE": "jwt",
    "JWT_SECRET": SECRET,
}
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Scenario:
    """A conversation, and the wires to the model that it is held on."""

    play: Play
    wires: tuple[Wire, ...] = ("responses", "chat_completions")

    @property
    def name(self) -> str:
        return self.play.__name__

    @property
    def place(self) -> str:
        """Where it is: its file, and its name."""
        return f"{os.path.relpath(self._file, ROOT)}::{self.name}"

    def golden(self, wire: str = "") -> Path:
        """Return where its golden transcript is, or the one that is a wire's own."""
        suffix = f".{wire}.json" if wire else ".json"
        return self._file.parents[1] / "golden" / f"{self.name}{suffix}"

    @property
    def _file(self) -> Path:
        return Path(self.play.__code__.co_filename)


def scenario(play: Play) -> Scenario:
    """Hold the conversation on both wires."""
    return Scenario(play)


def on_responses_alone(because: str) -> Callable[[Play], Scenario]:
    """Run the conversation on the Responses API only, for this reason."""
    assert because
    return lambda play: Scenario(play, ("responses",))


class Scenarios:
    """The conversations in the `scenarios/` of some folders, by name, and how to serve them."""

    def __init__(self, folders: Iterable[Path], entry: str, base: Path = TESTS) -> None:
        self.folders = sorted(folders)
        self._entry = entry
        self.by_name = {
            each.name: each for each in chain(*(_found_in(folder, base) for folder in self.folders))
        }

    def play(self, folder: Path) -> list[Recording]:
        """Hold every conversation, on each of its wires."""
        recordings: list[Recording] = []
        for wire in PROVIDERS if self.by_name else ():
            site = folder / wire
            site.mkdir(parents=True)
            with FakeModelApi().running() as model, self._server(site, wire, model) as server:
                recordings += [
                    _record(each, wire, model, server)
                    for each in self.by_name.values()
                    if wire in each.wires
                ]
        return recordings

    @contextmanager
    def _server(self, folder: Path, wire: Wire, model: FakeModelApi) -> Generator[Server]:
        environment = ENVIRONMENT | PROVIDERS[wire] | {"LLM_BASE_URL": model.url}
        entry = f"from support.protocol.serve import {self._entry} as main; main()"
        with running_server(folder, entry, **environment) as server:
            yield server


def _found_in(folder: Path, base: Path) -> list[Scenario]:
    package = ".".join([*folder.relative_to(base).parts, "scenarios"])
    return values_in(package, Scenario)


def _record(scenario: Scenario, wire: Wire, model: FakeModelApi, server: Server) -> Recording:
    recording = Recording(scenario.place, wire)
    log = server.folder / LOG
    log.write_text("")
    model.reset()
    with _client(server, scenario.name) as http:
        talk = Talk(http, model, server.folder / "data/chat.db", scenario.name)
        try:
            scenario.play(talk)
            talk.wait_for_end()
        except Exception:
            recording.failure = traceback.format_exc()
    kinds = {kind for exchange in talk.exchanges for kind in exchange.kinds}
    stored = {f"ThreadItem {type_}" for type_ in talk.stored(TYPES_OF_ITEMS)}
    recording.transcript = normal([exchange.line for exchange in talk.exchanges])
    recording.kinds = sorted(kinds)
    recording.hidden = sorted(stored & HIDDEN)
    recording.hooks = sorted({_hook(line) for line in log.read_text().splitlines()})
    return recording


TYPES_OF_ITEMS = "SELECT DISTINCT type FROM items WHERE user_id = ?"


def _hook(line: str) -> tuple[Kind, str]:
    kind, _, file = line.rpartition(" ")
    return kind, file


def _client(server: Server, user: str) -> httpx2.Client:
    settings = Settings.model_construct(jwt_secret=SecretStr(SECRET))
    token = issue_token(settings, user, timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=server.url, headers=headers, timeout=TIMEOUT_SECONDS)
