"""Temporary."""

from collections.abc import AsyncIterator, Sequence


class Blobs:
    async def keys_of(self, user_id: str) -> Sequence[str]:
        return []

    async def get(self, key: str) -> AsyncIterator[bytes]:
        yield b""

    async def delete_user(self, user_id: str) -> None:
        pass
