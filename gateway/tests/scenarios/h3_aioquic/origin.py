"""An HTTP/3 origin that shares no code with the gateway: aioquic, answering as the path says.

Arguments: certificate, key, and `retry` to have clients prove their address. The first line on
standard output is its port; each further line is JSON of something that it saw: a request whose
body came to its end (`seen`), a stream that the gateway gave up (`reset`, `stopped`). It ends with
its standard input.
"""

import asyncio
import json
import sys

from aioquic.asyncio import serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from wsproto.connection import Connection as WebSocket, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

BIG = 8 << 20


def pattern(size):
    unit = bytes(range(251))
    return (unit * (size // len(unit) + 1))[:size]


def tell(what):
    print(json.dumps(what), flush=True)


class Exchange:
    """A request, and what is left of its response."""

    def __init__(self, headers):
        self.fields = [[name.decode(), value.decode()] for name, value in headers]
        named = dict(self.fields)
        self.method, self.path = named[":method"], named.get(":path", "")
        self.body = bytearray()
        self.trailers = None
        self.over = False
        self.socket = None

    def report(self, connection):
        return {
            "seen": self.path, "method": self.method, "headers": self.fields,
            "length": len(self.body), "intact": bytes(self.body) == pattern(len(self.body)),
            "trailers": self.trailers, "connection": connection,
        }


class Server(QuicConnectionProtocol):
    """One connection."""

    count = 0

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.exchanges = {}
        self.number = Server.count
        Server.count += 1

    def quic_event_received(self, event):
        if isinstance(event, events.StreamReset):
            self.give_up(event, "reset")
        elif isinstance(event, events.StopSendingReceived):
            self.give_up(event, "stopped")
        for got in self.http.handle_event(event):
            stream = got.stream_id
            if isinstance(got, HeadersReceived):
                fields = got.headers
                if stream in self.exchanges:
                    trailers = [[name.decode(), value.decode()] for name, value in fields]
                    self.exchanges[stream].trailers = trailers
                else:
                    self.exchanges[stream] = Exchange(fields)
                    self.begin(stream, self.exchanges[stream])
            elif isinstance(got, DataReceived):
                self.take(stream, self.exchanges[stream], got.data)
            if got.stream_ended:
                self.finish(stream, self.exchanges[stream])
        self.transmit()

    def give_up(self, event, how):
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.over = True
            tell({how: exchange.path, "code": event.error_code, "connection": self.number})

    def begin(self, stream, exchange):
        """What is answered without the body."""
        if exchange.path == "/early":
            self.answer(stream, 403, b"no")
        elif exchange.path == "/endless":
            self.http.send_headers(stream, [(b":status", b"200")])
            self._loop.create_task(self.flow(stream, exchange))
        elif exchange.path == "/held":
            tell({"held": exchange.path, "connection": self.number})
        elif exchange.method == "CONNECT":
            exchange.socket = WebSocket(ConnectionType.SERVER)
            self.http.send_headers(stream, [(b":status", b"200")])

    async def flow(self, stream, exchange):
        while not exchange.over and not self._closed.is_set():
            self.http.send_data(stream, pattern(16384), False)
            self.transmit()
            await asyncio.sleep(0.005)

    def take(self, stream, exchange, data):
        if exchange.socket is None:
            exchange.body += data
            return
        if not data:
            return
        socket = exchange.socket
        socket.receive_data(data)
        for event in socket.events():
            if isinstance(event, CloseConnection):
                self.http.send_data(stream, socket.send(event.response()), True)
            elif isinstance(event, TextMessage):
                same = TextMessage(event.data, message_finished=event.message_finished)
                self.http.send_data(stream, socket.send(same), False)
            elif isinstance(event, BytesMessage):
                same = BytesMessage(bytes(event.data), message_finished=event.message_finished)
                self.http.send_data(stream, socket.send(same), False)

    def finish(self, stream, exchange):
        """The request is whole."""
        tell(exchange.report(self.number))
        path, named = exchange.path, f"{exchange.method} {exchange.path} {len(exchange.body)}"
        if exchange.socket is not None or path in ("/early", "/endless", "/held"):
            return
        if path == "/mirror":
            self.answer(stream, 200, bytes(exchange.body))
        elif path == "/big":
            self.answer(stream, 200, pattern(BIG))
        elif path == "/empty":
            self.http.send_headers(stream, [(b":status", b"204")], True)
        elif path == "/trailers":
            self.http.send_headers(stream, [(b":status", b"200"), (b"trailer", b"x-sum")])
            self.http.send_data(stream, b"hi", False)
            self.http.send_headers(stream, [(b"x-sum", b"42")], True)
        elif path == "/broken":
            self.http.send_headers(stream, [(b":status", b"200"), (b"content-length", b"100")])
            self.http.send_data(stream, b"part", False)
            self._loop.call_later(0.2, self.abort, stream)
        elif path == "/last":
            self.answer(stream, 200, named.encode())
            self._loop.call_later(0.1, self.close, 0x100)
        elif exchange.method == "HEAD":
            self.http.send_headers(
                stream, [(b":status", b"200"), (b"content-length", b"12")], True
            )
        else:
            self.answer(stream, 200, named.encode())

    def abort(self, stream):
        self._quic.reset_stream(stream, 0x102)
        self.transmit()

    def answer(self, stream, status, body):
        length = str(len(body)).encode()
        fields = [(b":status", str(status).encode()), (b"content-length", length)]
        # Of a field that comes again and again, an encoder would like to remember it.
        fields.append((b"x-again", b"a value that a dynamic table would hold"))
        self.http.send_headers(stream, fields)
        self.http.send_data(stream, body, True)


async def main():
    config = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    config.load_cert_chain(sys.argv[1], sys.argv[2])
    tickets = {}
    server = await serve(
        "127.0.0.1", 0, configuration=config, create_protocol=Server, retry="retry" in sys.argv,
        session_ticket_fetcher=tickets.get,
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
    )
    tell(server._transport.get_extra_info("sockname")[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
