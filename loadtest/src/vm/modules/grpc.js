// `k6/net/grpc`.
(native) => {
  "use strict";

  const handles = new WeakMap();
  const handleOf = (client) => {
    const handle = handles.get(client);
    if (handle === undefined) throw new TypeError("a grpc.Client is needed");
    return handle;
  };

  class Client {
    constructor() { handles.set(this, native.grpcNew()); }
    load(importPaths, ...files) {
      return native.grpcLoad(handleOf(this), (importPaths ?? []).map(String), files.map(String));
    }
    loadProtoset(file) { return native.grpcLoadSet(handleOf(this), String(file)); }
    connect(address, params) {
      native.grpcConnect(handleOf(this), String(address), params ?? {});
      return true;
    }
    invoke(method, request, params) {
      return native.grpcInvoke(handleOf(this), String(method), request ?? {}, params ?? {});
    }
    asyncInvoke(method, request, params) {
      return native.grpcInvokeAsync(handleOf(this), String(method), request ?? {}, params ?? {});
    }
    close() { native.grpcClose(handleOf(this)); }
    healthCheck(service) {
      const handle = handleOf(this);
      native.grpcLoadHealth(handle);
      const request = { service: String(service ?? "") };
      return native.grpcInvoke(handle, "grpc.health.v1.Health/Check", request, {});
    }
  }

  const kinds = ["data", "error", "end"];

  class Stream {
    #handle;
    #listeners = new Map(kinds.map((kind) => [kind, []]));
    constructor(client, method, params) {
      const dispatch = ([kind, data]) => {
        for (const listener of this.#listeners.get(kind)) listener(data, { ts: Date.now() });
      };
      this.#handle = native.grpcStream(handleOf(client), String(method), params ?? {}, dispatch);
    }
    on(event, listener) {
      const listeners = this.#listeners.get(event);
      if (listeners === undefined) throw new TypeError(`unknown event of a stream: ${event}`);
      if (typeof listener !== "function") throw new TypeError("a listener must be a function");
      listeners.push(listener);
    }
    write(message) { native.grpcWrite(this.#handle, message ?? {}); }
    end() { native.grpcEnd(this.#handle); }
  }

  const codes = [
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
    "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
  ];
  const constants = Object.fromEntries(codes.map((name, code) => [`Status${name}`, code]));
  // As a status is written in a message.
  const health = {
    HealthCheckUnknown: "UNKNOWN",
    HealthCheckServing: "SERVING",
    HealthCheckNotServing: "NOT_SERVING",
  };
  return { "k6/net/grpc": { Client, Stream, ...constants, ...health } };
}
