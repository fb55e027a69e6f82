"""A control: an echo server as an asyncio protocol, which is asyncio's fast form."""

import asyncio
import gc
import json
import signal


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def main() -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, gc.collect)
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=65535)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"ready": True, "port": port}), flush=True)
    await server.serve_forever()


asyncio.run(main())
