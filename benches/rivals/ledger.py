"""A service outside every system under test, which counts what really reaches it."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Counts raw requests on arrival, then takes `delay` seconds to answer.

    `POST /keyed` is applied once per `idempotency-key`; `POST /opaque` is applied
    each time, and its key only names the effect for the count.
    """

    delay: float
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    applied: Counter[tuple[str, str]] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    address: str = ""
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> asyncio.Server:
        """Listens on a free loopback port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return server

    def forget(self) -> None:
        """Starts a new page: nothing has been asked yet."""
        self.requests.clear()
        self.applied.clear()

    def watch(self) -> None:
        """From now on, `first` tells of the next request."""
        self.arrived.clear()
        self.answered.clear()
        self.first.clear()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            kind = head[0].split()[1].strip("/")
            pairs = (line.partition(":") for line in head[1:])
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self._count(kind, headers["idempotency-key"])
            await asyncio.sleep(self.delay)
            body = b"connection: close\r\ncontent-length: 2\r\n\r\nok"
            writer.write(b"HTTP/1.1 200 OK\r\n" + body)
            self.answered[kind] += 1
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side was killed, or the bench ends
        finally:
            writer.close()

    def _count(self, kind: str, key: str) -> None:
        self.arrived[kind] += 1
        self.requests[kind, key] += 1
        if kind == "opaque" or not self.applied[kind, key]:
            self.applied[kind, key] += 1
        self.first.set()
