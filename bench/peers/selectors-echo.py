"""A control: an echo server on Python's selectors module, as in its documentation, with a buffer for
bytes that a peer does not accept yet. (A file named selectors.py would be imported instead of the
module.)"""

import gc
import json
import selectors
import signal
import socket

signal.signal(signal.SIGUSR2, lambda *_: gc.collect())
selector = selectors.DefaultSelector()
listener = socket.create_server(("127.0.0.1", 0), backlog=65535)
listener.setblocking(False)
pending: dict[socket.socket, bytes] = {}


def accept(_: socket.socket, __: int) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, echo)


def drop(connection: socket.socket) -> None:
    pending.pop(connection, None)
    selector.unregister(connection)
    connection.close()


def echo(connection: socket.socket, mask: int) -> None:
    try:
        if mask & selectors.EVENT_WRITE:
            rest = pending[connection]
            rest = rest[connection.send(rest) :]
            if rest:
                pending[connection] = rest
                return
            del pending[connection]
            selector.modify(connection, selectors.EVENT_READ, echo)
            return
        received = connection.recv(65536)
        if not received:
            drop(connection)
            return
        try:
            sent = connection.send(received)
        except BlockingIOError:
            sent = 0
        if sent < len(received):
            pending[connection] = received[sent:]
            selector.modify(connection, selectors.EVENT_WRITE, echo)
    except BlockingIOError:
        return
    except OSError:
        drop(connection)


selector.register(listener, selectors.EVENT_READ, accept)
print(json.dumps({"ready": True, "port": listener.getsockname()[1]}), flush=True)
while True:
    for key, mask in selector.select():
        key.data(key.fileobj, mask)
