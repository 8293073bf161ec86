"""Connections that break: proxies that cut, slow, stall and corrupt what goes through them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

CHUNK = 16 * 1024
STALL_S = 12.0
"""Longer than GitHub waits for an answer, and than the worker waits for GitHub's."""
SLOW_S = 0.3
"""For each chunk of a slow connection."""


@dataclass
class Proxy:
    """In front of `target`.

    Attributes:
        spoils: `asked` or `answered`: which way half a piece arrives, or one with a bit flipped.
            TLS would take that bit for a cut connection; here something else has to find it out.
        rate: of the pieces that come, how many meet a fault.
        met: how many of each kind there were.
    """

    spoils: str
    rate: float = 0.0
    seed: int = 0
    target: tuple[str, int] = ("127.0.0.1", 0)
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # no secret
        self.port = 0
        self._at_work: set[asyncio.Task[str]] = set()  # asyncio itself holds them weakly

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _connected(self, one: asyncio.StreamReader, end: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # cancelled at the end of it all
            other, far = await asyncio.open_connection(*self.target)
            ways = [
                asyncio.create_task(self._pass_on(one, far, "asked")),
                asyncio.create_task(self._pass_on(other, end, "answered")),
            ]
            self._at_work.update(ways)
            # Either end may close first; what the other still says goes through.
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if any(way.result() == "cut" for way in done):
                far.transport.abort()
                end.transport.abort()
            await asyncio.wait(ways)
            self._at_work.difference_update(ways)
            far.close()
        end.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> str:
        pause_s = 0.0
        with suppress(OSError):
            while piece := await reader.read(CHUNK):
                fault = self._fault()
                if fault == "stall":
                    await asyncio.sleep(STALL_S)
                if fault in {"cut", "stall"}:
                    if way == self.spoils:
                        writer.write(piece[: len(piece) // 2])
                    return "cut"
                if fault == "slow":
                    pause_s = SLOW_S
                if fault == "corrupt" and way == self.spoils:
                    piece = self._flipped(piece)
                await asyncio.sleep(pause_s)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        return "over"

    def _fault(self) -> str | None:
        if self._chance.random() >= self.rate:
            return None
        # A stall keeps everybody waiting, so it is the rarest.
        kind = self._chance.choices(["cut", "slow", "corrupt", "stall"], [8, 6, 6, 1])[0]
        self.met[kind] += 1
        return kind

    def _flipped(self, piece: bytes) -> bytes:
        """Flip the high bit of a byte of the body, or of what there is."""
        at = self._chance.randrange(max(piece.find(b"\r\n\r\n"), 0), len(piece))
        return piece[:at] + bytes([piece[at] ^ 0x80]) + piece[at + 1 :]


class Proxies:
    """Several, in one thread."""

    def __init__(self, *proxies: Proxy) -> None:
        self._proxies = proxies
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for proxy in self._proxies:
            self._run(proxy.serve())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _end(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
