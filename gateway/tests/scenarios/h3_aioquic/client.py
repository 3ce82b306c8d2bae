"""An HTTP/3 client that shares no code with the gateway: aioquic, driven from a test.

It reads one command a line from standard input, as JSON with the command's name in `do`, and
answers each with one line of JSON on standard output. Connections go on between commands. Every
wait ends after `PATIENCE` seconds; what goes wrong is answered as `{"error": ...}`.

Bodies are made of one pattern (`pattern`), so that each side can tell damage without a copy.
"""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, BufferReadError
from aioquic.h3.connection import FrameType, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from wsproto.connection import Connection as WebSocket, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

PATIENCE = 10
KEPT = 4096


def pattern(size):
    """The first `size` bytes of 0, 1, ... 250, 0, 1, ..."""
    unit = bytes(range(251))
    return (unit * (size // len(unit) + 1))[:size]


class Http(H3Connection):
    """Knows that what answers HEAD has a length and no body."""

    def __init__(self, quic):
        self.bodiless = set()
        super().__init__(quic)

    def _check_content_length(self, stream):
        if stream.stream_id not in self.bodiless:
            super()._check_content_length(stream)


class Control:
    """The gateway's own streams, of which aioquic keeps the GOAWAY frames to itself."""

    def __init__(self):
        self.streams = {}
        self.goaways = []

    def take(self, event):
        if event.stream_id % 4 != 3:
            return
        data = self.streams.get(event.stream_id, b"") + event.data
        self.streams[event.stream_id] = data
        buffer = Buffer(data=data)
        goaways = []
        try:
            if buffer.pull_uint_var() != 0:
                return
            while not buffer.eof():
                kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
                payload = buffer.pull_bytes(length)
                if kind == FrameType.GOAWAY:
                    goaways.append(Buffer(data=payload).pull_uint_var())
        except BufferReadError:
            pass  # The rest of a frame is still to come.
        self.goaways = goaways


class Exchange:
    """What came back on one request stream."""

    def __init__(self):
        self.interim = []
        self.status = None
        self.headers = []
        self.trailers = None
        self.body = bytearray()
        self.ended = False
        self.reset = None
        self.stopped = None
        self.socket = None
        self.messages = []

    def take_headers(self, headers):
        fields = [[name.decode(), value.decode()] for name, value in headers]
        status = dict(fields).get(":status")
        if status is None:
            self.trailers = fields
        elif status.startswith("1"):
            self.interim.append(int(status))
        else:
            self.status = int(status)
            self.headers = [field for field in fields if field[0] != ":status"]

    def report(self):
        return {
            "interim": self.interim,
            "status": self.status,
            "headers": self.headers,
            "trailers": self.trailers,
            "length": len(self.body),
            "text": self.body.decode(errors="replace") if len(self.body) <= KEPT else None,
            "intact": bytes(self.body) == pattern(len(self.body)),
            "ended": self.ended,
            "reset": self.reset,
            "stopped": self.stopped,
        }


class Client(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, quic, address):
        super().__init__(quic)
        self.address = address
        self.http = Http(quic)
        self.control = Control()
        self.exchanges = {}
        self.handshake = None
        self.end = None
        self.changed = asyncio.Event()
        self.mute = False

    def transmit(self):
        if not self.mute:
            super().transmit()

    async def bind(self, host):
        """Takes a new local port, and leaves the old one if there was one."""
        old = self._transport
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))
        if old is not None:
            old.close()

    def quic_event_received(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self.handshake = event
        elif isinstance(event, events.ConnectionTerminated):
            self.end = {"code": event.error_code, "frame": event.frame_type,
                        "reason": event.reason_phrase}
        elif isinstance(event, events.StreamDataReceived):
            self.control.take(event)
        elif isinstance(event, events.StreamReset) and event.stream_id in self.exchanges:
            self.exchanges[event.stream_id].reset = event.error_code
        elif isinstance(event, events.StopSendingReceived) and event.stream_id in self.exchanges:
            self.exchanges[event.stream_id].stopped = event.error_code
        for got in self.http.handle_event(event):
            exchange = self.exchanges.get(got.stream_id)
            if exchange is None:
                continue
            if isinstance(got, HeadersReceived):
                exchange.take_headers(got.headers)
            elif isinstance(got, DataReceived):
                self.take_data(got.stream_id, exchange, got.data)
            exchange.ended = exchange.ended or got.stream_ended
        self.changed.set()

    def take_data(self, stream, exchange, data):
        if exchange.socket is None:
            exchange.body += data
            return
        if not data:
            return  # A lone end, which wsproto takes no more once closed.
        exchange.socket.receive_data(data)
        for event in exchange.socket.events():
            if isinstance(event, Ping):
                self.http.send_data(stream, exchange.socket.send(event.response()), False)
            exchange.messages.append(event)

    async def until(self, what, holds):
        """Waits until `holds`, or says what it waited for."""
        deadline = self._loop.time() + PATIENCE
        while not holds():
            self.changed.clear()
            left = deadline - self._loop.time()
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except asyncio.TimeoutError:
                raise TimeoutError(f"waited {PATIENCE} s for {what}; end: {self.end}") from None

    # Commands on a connection; each takes what the test sent.

    async def established(self, _):
        """Waits for the handshake's end, or the connection's."""
        await self.until("the handshake", lambda: self.handshake or self.end)
        return self.state()

    async def info(self, _):
        return self.state()

    def state(self):
        done = self.handshake
        return {
            "established": done is not None,
            "alpn": done and done.alpn_protocol,
            "early_accepted": bool(done and done.early_data_accepted),
            "resumed": bool(done and done.session_resumed),
            "version": self._quic._version,
            "negotiated": self._quic._version_negotiated_incompatible,
            "retries": self._quic._retry_count,
            "port": self._transport.get_extra_info("sockname")[1],
            "goaways": self.control.goaways,
            "end": self.end,
        }

    async def settings(self, _):
        """The gateway's SETTINGS, by number."""
        await self.until("SETTINGS", lambda: self.http.received_settings or self.end)
        return {"settings": {str(k): v for k, v in (self.http.received_settings or {}).items()}}

    async def send(self, command):
        """Sends a request's head, with a body of `size` bytes or `text`; `open`: more follows."""
        headers = [
            (b":method", command.get("method", "GET").encode()),
            (b":scheme", b"https"),
            (b":authority", command.get("authority", "weir.test").encode()),
            (b":path", command["path"].encode()),
        ]
        if "protocol" in command:
            headers.insert(1, (b":protocol", command["protocol"].encode()))
        headers += [(k.encode(), v.encode()) for k, v in command.get("headers", [])]
        stream = self._quic.get_next_available_stream_id()
        self.exchanges[stream] = Exchange()
        if command.get("method") == "HEAD" or command.get("bodiless"):
            self.http.bodiless.add(stream)
        body = body_of(command)
        trailers = command.get("trailers")
        more = command.get("open", False)
        self.http.send_headers(stream, headers, not (body or more or trailers))
        if body:
            self.http.send_data(stream, body, not (more or trailers))
        if trailers:
            fields = [(k.encode(), v.encode()) for k, v in trailers]
            self.http.send_headers(stream, fields, True)
        if not command.get("hold", False):
            self.transmit()
        return {"stream": stream}

    async def write(self, command):
        """Sends more of a request's body."""
        ends = not command.get("open", False)
        self.http.send_data(command["stream"], body_of(command), ends)
        self.transmit()
        return {}

    async def head(self, command):
        """Waits for a response's head."""
        exchange = self.exchanges[command["stream"]]
        await self.until(
            "a response's head",
            lambda: exchange.status or exchange.reset is not None or self.end,
        )
        return exchange.report()

    async def received(self, command):
        """Waits for `bytes` of a response's body; `rebind`: and takes a new port at once."""
        exchange = self.exchanges[command["stream"]]
        await self.until(
            f"{command['bytes']} bytes",
            lambda: len(exchange.body) >= command["bytes"] or exchange.ended or self.end,
        )
        if command.get("rebind"):
            await self.rebind(command)
        return {"length": len(exchange.body), "ended": exchange.ended}

    async def answer(self, command):
        """Waits for a response's end, be it good or bad."""
        exchange = self.exchanges[command["stream"]]
        await self.until(
            "a response's end",
            lambda: exchange.ended or exchange.reset is not None or self.end,
        )
        return exchange.report() | {"end": self.end}

    async def stopped(self, command):
        """Waits for STOP_SENDING or RESET_STREAM from the gateway."""
        exchange = self.exchanges[command["stream"]]
        await self.until(
            "STOP_SENDING",
            lambda: exchange.stopped is not None or exchange.reset is not None or self.end,
        )
        return exchange.report()

    async def many(self, command):
        """Sends `count` requests at once and waits for all answers."""
        streams = []
        for n in range(command["count"]):
            one = command | {"path": f"{command['path']}{n}", "hold": True}
            streams.append((await self.send(one))["stream"])
        self.transmit()
        return {"answers": [await self.answer({"stream": stream}) for stream in streams]}

    async def interim(self, command):
        """Waits for interim responses, `count` of them."""
        exchange = self.exchanges[command["stream"]]
        await self.until("interim responses", lambda: len(exchange.interim) >= command["count"]
                         or exchange.reset is not None or self.end)
        return exchange.report()

    async def reset(self, command):
        """RESET_STREAM: the client sends no more."""
        self._quic.reset_stream(command["stream"], command["code"])
        self.transmit()
        return {}

    async def stop(self, command):
        """STOP_SENDING: the client wants no more."""
        self._quic.stop_stream(command["stream"], command["code"])
        self.transmit()
        return {}

    async def cancel(self, command):
        """Both at once, as a browser does."""
        self._quic.reset_stream(command["stream"], command["code"])
        self._quic.stop_stream(command["stream"], command["code"])
        self.transmit()
        return {}

    async def rebind(self, command):
        """Goes on from another local port; `cid`: with another connection ID as well; `silent`:
        without a PING; `mute`: says nothing more until the next move, not even what it heard."""
        self.mute = False
        # Nobody may move before (RFC 9000 section 9), and datagrams from elsewhere are passed over.
        await self.until("the handshake's confirmation",
                         lambda: self._quic._handshake_confirmed or self.end)
        await self.bind(command.get("host", self.address[0]))
        if command.get("cid"):
            self._quic.change_connection_id()
        if not command.get("silent"):
            self._quic.send_ping(0)
        self.transmit()
        self.mute = command.get("mute", False)
        return self.state()

    async def renew(self, _):
        """A key update (RFC 9001 6)."""
        self.request_key_update()
        return {}

    async def alive(self, _):
        """A PING and its acknowledgement."""
        await asyncio.wait_for(self.ping(), PATIENCE)
        return self.state()

    async def goaway(self, command):
        """Waits for as many GOAWAY frames."""
        count = command.get("count", 1)
        await self.until("GOAWAY", lambda: len(self.control.goaways) >= count or self.end)
        return self.state()

    async def ended(self, _):
        """Waits for the gateway to end the connection."""
        await self.until("the connection's end", lambda: self.end)
        return self.state()

    async def finish(self, command):
        """Ends the connection."""
        self.close(command.get("code", 0x100), "")
        await asyncio.wait_for(self.wait_closed(), PATIENCE)
        return {}

    async def socket(self, command):
        """Asks for a WebSocket (RFC 9220); `status` 200 means it is open."""
        opened = await self.send(command | {"method": "CONNECT", "protocol": "websocket",
                                            "open": True})
        exchange = self.exchanges[opened["stream"]]
        exchange.socket = WebSocket(ConnectionType.CLIENT)
        return opened | await self.head(opened)

    async def say(self, command):
        """Sends a message: `text`, or `size` bytes."""
        if "text" in command:
            event = TextMessage(command["text"])
        else:
            event = BytesMessage(pattern(command["size"]))
        return self.put(command["stream"], event)

    async def leave(self, command):
        """Starts or answers the closing handshake; `fin`: and ends the stream."""
        stream = command["stream"]
        if command.get("fin"):
            self.http.send_data(stream, b"", True)
            self.transmit()
            return {}
        return self.put(stream, CloseConnection(command["code"], command.get("reason")))

    def put(self, stream, event):
        self.http.send_data(stream, self.exchanges[stream].socket.send(event), False)
        self.transmit()
        return {}

    async def hear(self, command):
        """Waits for a message and takes it."""
        exchange = self.exchanges[command["stream"]]
        whole = b""
        while True:
            await self.until("a message", lambda: exchange.messages or exchange.ended or self.end
                             or exchange.reset is not None)
            if not exchange.messages:
                return {"over": True, "reset": exchange.reset, "end": self.end}
            event = exchange.messages.pop(0)
            if isinstance(event, CloseConnection):
                return {"close": event.code, "reason": event.reason}
            if isinstance(event, (TextMessage, BytesMessage)):
                text = isinstance(event, TextMessage)
                whole += event.data.encode() if text else event.data
                if event.message_finished:
                    return {"text": whole[:KEPT].decode() if text else None,
                            "length": len(whole), "intact": whole == pattern(len(whole))}


def body_of(command):
    if "text" in command:
        return command["text"].encode()
    return pattern(command.get("size", 0))


class Session:
    """Connections by number, and the session tickets that came on any of them."""

    def __init__(self):
        self.clients = []
        self.tickets = []

    async def open(self, command):
        """Starts a connection; `early` requests go out in 0-RTT, before any answer."""
        config = QuicConfiguration(is_client=True, alpn_protocols=["h3"])
        config.server_name = command.get("name", "weir.test")
        config.load_verify_locations(cafile=command["ca"])
        config.verify_mode = ssl.CERT_REQUIRED
        config.initial_rtt = 0.05
        if "cert" in command:
            config.load_cert_chain(command["cert"], command["key"])
        if "versions" in command:
            config.supported_versions = command["versions"]
            config.original_version = command["versions"][0]
        if "ticket" in command:
            config.session_ticket = self.tickets[command["ticket"]]
            if command.get("force"):
                # As if it had allowed early data: what the gateway must be able to refuse.
                config.session_ticket.max_early_data_size = 0xFFFF_FFFF
        if "idle" in command:
            config.idle_timeout = command["idle"]
        if "window" in command:
            config.max_data = config.max_stream_data = command["window"]
        address = (command["host"], command["port"])
        quic = QuicConnection(
            configuration=config, session_ticket_handler=self.tickets.append
        )
        client = Client(quic, address)
        await client.bind(command.get("from", address[0]))
        self.clients.append(client)
        client.connect(address, transmit=False)
        streams = []
        for request in command.get("early", []):
            streams.append((await client.send(request | {"hold": True}))["stream"])
        client.transmit()
        answer = {"connection": len(self.clients) - 1, "streams": streams}
        return answer | (await client.established(command) if not command.get("hold") else {})

    async def ticket(self, _):
        """Waits for session tickets and says how many there are."""
        await self.clients[-1].until("a session ticket", lambda: self.tickets)
        early = self.tickets[-1].max_early_data_size or 0
        return {"tickets": len(self.tickets), "early": early}

    async def fresh(self, command):
        """Waits for more session tickets `than` so many."""
        await self.clients[-1].until("a ticket", lambda: len(self.tickets) > command["than"])
        return {"tickets": len(self.tickets)}

    async def run(self, command):
        if command["do"] in ("open", "ticket", "fresh"):
            return await getattr(self, command["do"])(command)
        client = self.clients[command.get("connection", -1)]
        return await getattr(client, command["do"])(command)


async def main():
    session = Session()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer = await session.run(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for client in session.clients:
        client.close(0x100, "")


asyncio.run(main())
