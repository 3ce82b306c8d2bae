// `k6/ws` and `k6/websockets`.
(native) => {
  "use strict";

  // A script's buffers are of another realm than this one: `instanceof` does not know them.
  const isBytes = (value) =>
    Object.prototype.toString.call(value) === "[object ArrayBuffer]" || ArrayBuffer.isView(value);

  const events = ["open", "message", "binaryMessage", "ping", "pong", "error", "close"];

  class Socket {
    #handle;
    #handlers = new Map();
    #closed = false;
    constructor(handle) { this.#handle = handle; }

    on(event, handler) {
      if (typeof handler !== "function") throw new TypeError("a handler must be a function");
      const name = String(event);
      if (!events.includes(name)) return;
      const all = this.#handlers.get(name) ?? [];
      this.#handlers.set(name, [...all, handler]);
    }
    send(message) { native.wsSend(this.#handle, String(message), false); }
    sendBinary(message) {
      if (!isBytes(message)) {
        const kind = message === null ? "null" : typeof message;
        throw new TypeError(`expected ArrayBuffer as argument, received: ${kind}`);
      }
      native.wsSend(this.#handle, message, true);
    }
    ping() { native.wsPing(this.#handle); }
    close(code) {
      if (this.#closed) return;
      native.wsClose(this.#handle, Number(code ?? 1000), "");
      this.#finish(Number(code ?? 1000));
    }
    setTimeout(handler, delay) { this.#timer(handler, delay, false); }
    setInterval(handler, delay) { this.#timer(handler, delay, true); }

    #timer(handler, delay, repeats) {
      if (typeof handler !== "function") throw new TypeError("a handler must be a function");
      const ms = Number(delay);
      if (!(ms > 0)) {
        throw new RangeError("setTimeout requires a >0 timeout parameter");
      }
      native.wsTimer(this.#handle, () => handler(), ms, repeats);
    }
    #emit(event, ...values) {
      for (const handler of this.#handlers.get(event) ?? []) handler(...values);
    }
    #finish(code) {
      this.#closed = true;
      this.#emit("close", code);
      native.wsEnd(this.#handle);
    }
    dispatcher() {
      return ([kind, data]) => {
        if (this.#closed) return;
        switch (kind) {
          case "close": this.#finish(data); break;
          case "error": this.#emit("error", failure(data)); break;
          case "message": this.#emit("message", data); break;
          case "binary": this.#emit("binaryMessage", data); break;
          default: this.#emit(kind);
        }
      };
    }
  }

  // An error as scripts look at it: `e.error()`.
  function failure(text) {
    return { error: () => text, message: text, toString: () => text };
  }

  function connect(url, params, callback) {
    const begin = typeof params === "function" ? params : callback;
    if (typeof begin !== "function") {
      throw new TypeError("last argument to ws.connect must be a function");
    }
    const given = typeof params === "function" ? {} : params ?? {};
    return native.wsConnect(String(url), given, (handle) => {
      const socket = new Socket(handle);
      const dispatch = socket.dispatcher();
      begin(socket);
      return dispatch;
    });
  }

  class Blob {
    #bytes;
    constructor(parts, options) {
      const all = (parts ?? []).map((part) =>
        new Uint8Array(part instanceof Blob ? part.#bytes : native.bytesOf(part)));
      const joined = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of all) {
        joined.set(part, at);
        at += part.length;
      }
      this.#bytes = joined.buffer;
      this.type = String(options?.type ?? "");
    }
    get size() { return this.#bytes.byteLength; }
    slice(start, end, type) { return new Blob([this.#bytes.slice(start, end)], { type }); }
    async arrayBuffer() { return this.#bytes.slice(0); }
    async bytes() { return new Uint8Array(this.#bytes.slice(0)); }
    async text() { return native.textOf(this.#bytes); }
    stream() { throw new Error("Blob.stream() is not supported by weir-load"); }
    static buffer(blob) { return blob.#bytes; }
  }

  const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
  const kinds = ["open", "message", "ping", "pong", "error", "close"];

  class WebSocket {
    #handle;
    #listeners = new Map(kinds.map((kind) => [kind, []]));
    #binaryType = "blob";

    constructor(url, protocols, params) {
      const address = String(url);
      if (!/^wss?:\/\/[^/?#]/i.test(address)) {
        throw new SyntaxError(`WebSocket requires a ws or wss URL, not '${address}'`);
      }
      if (address.includes("#")) throw new SyntaxError("a WebSocket's URL has no fragment");
      this.url = address;
      this.readyState = states.CONNECTING;
      this.protocol = "";
      this.extensions = [];
      for (const kind of kinds) this[`on${kind}`] = null;
      const wanted = protocols === undefined || protocols === null ? [] : [protocols].flat();
      const dispatch = (event) => this.#dispatch(event);
      this.#handle = native.wsOpen(address, wanted.map(String), params ?? {}, dispatch);
    }
    get bufferedAmount() { return native.wsBuffered(this.#handle); }
    get binaryType() { return this.#binaryType; }
    set binaryType(type) {
      if (type !== "blob" && type !== "arraybuffer") {
        throw new TypeError(`unsupported binaryType '${type}'; use 'blob' or 'arraybuffer'`);
      }
      this.#binaryType = type;
    }
    addEventListener(event, listener) {
      const listeners = this.#listeners.get(event);
      if (listeners === undefined) throw new TypeError(`unsupported event '${event}'`);
      if (typeof listener !== "function") throw new TypeError("a listener must be a function");
      if (!listeners.includes(listener)) listeners.push(listener);
    }
    send(data) {
      if (this.readyState === states.CONNECTING) {
        throw new Error("InvalidStateError: the WebSocket is still connecting");
      }
      if (this.readyState !== states.OPEN) return;
      const plain = data instanceof Blob ? Blob.buffer(data) : data;
      const binary = isBytes(plain);
      native.wsSend(this.#handle, binary ? plain : String(plain), binary);
    }
    ping() {
      if (this.readyState === states.CONNECTING) {
        throw new Error("InvalidStateError: the WebSocket is still connecting");
      }
      if (this.readyState === states.OPEN) native.wsPing(this.#handle);
    }
    close(code, reason) {
      if (this.readyState >= states.CLOSING) return;
      this.readyState = states.CLOSING;
      native.wsClose(this.#handle, Number(code ?? 1000), String(reason ?? ""));
    }

    #dispatch([kind, data, reason]) {
      switch (kind) {
        case "open":
          // Closed before it was open: the server's answer to that is still to come.
          if (this.readyState !== states.CONNECTING) return;
          this.readyState = states.OPEN;
          this.protocol = data;
          return this.#emit("open", {});
        case "message": return this.#emit("message", { data });
        case "binary":
          return this.#emit("message", {
            data: this.#binaryType === "blob" ? new Blob([data]) : data,
          });
        case "error":
          this.readyState = states.CLOSED;
          return this.#emit("error", { error: data });
        case "close":
          this.readyState = states.CLOSED;
          return this.#emit("close", { code: data, reason });
        default: return this.#emit(kind, {});
      }
    }
    #emit(type, more) {
      const event = { type, target: this, timestamp: Date.now(), ...more };
      const own = this[`on${type}`];
      if (typeof own === "function") own.call(this, event);
      for (const listener of this.#listeners.get(type)) listener.call(this, event);
    }
  }
  for (const [name, value] of Object.entries(states)) {
    WebSocket[name] = value;
    WebSocket.prototype[name] = value;
  }

  return {
    "k6/ws": { connect },
    "k6/websockets": { WebSocket, Blob },
    "k6/experimental/websockets": { WebSocket, Blob },
  };
}
