// What scripts import, as far as it is simpler said in their own language. Evaluated once per
// interpreter; `native` holds the rest.
(native) => {
  "use strict";

  class HttpURL {
    constructor(url, name) {
      this.url = url;
      this.name = name;
    }
    toString() { return this.url; }
    toJSON() { return this.url; }
  }

  function url(strings, ...values) {
    let [address, name] = [strings[0], strings[0]];
    values.forEach((value, i) => {
      address += String(value) + strings[i + 1];
      name += "${}" + strings[i + 1];
    });
    return new HttpURL(address, name);
  }

  class FileData {
    constructor(data, filename, contentType) {
      this.data = data;
      this.filename = filename;
      this.content_type = contentType;
    }
  }

  function file(data, filename, contentType) {
    const name = filename ? String(filename) : String(Date.now() * 1e6);
    return new FileData(data, name, contentType ? String(contentType) : "application/octet-stream");
  }

  class CookieJar {
    constructor(handle) {
      Object.defineProperty(this, "handle", { value: handle ?? native.jarNew() });
    }
    cookiesForURL(url) { return native.jarGet(this.handle, String(url)); }
    set(url, name, value, options) {
      return native.jarSet(this.handle, String(url), String(name), String(value), options ?? {});
    }
    clear(url) { native.jarDelete(this.handle, String(url)); }
    delete(url, name) { native.jarDelete(this.handle, String(url), String(name)); }
  }

  function normalRequest(request) {
    if (typeof request === "string" || request instanceof HttpURL) return ["GET", request];
    if (Array.isArray(request)) return request.length === 1 ? ["GET", request[0]] : request;
    if (request && typeof request === "object") {
      return [request.method ?? "GET", request.url, request.body, request.params];
    }
    return ["GET", request];
  }

  function batch(requests) {
    if (requests === null || typeof requests !== "object") {
      throw new TypeError("http.batch() takes an array or an object");
    }
    if (Array.isArray(requests)) return native.batch(Array.from(requests, normalRequest));
    const keys = Object.keys(requests);
    const responses = native.batch(keys.map((key) => normalRequest(requests[key])));
    return Object.fromEntries(keys.map((key, i) => [key, responses[i]]));
  }

  function metric(kind) {
    return {
      [kind]: class {
        constructor(name, isTime) {
          const id = native.metricNew(kind, String(name), Boolean(isTime));
          Object.defineProperty(this, "name", { value: String(name), enumerable: true });
          Object.defineProperty(this, "id", { value: id });
        }
        add(value, tags) { return native.metricAdd(this.id, value, tags); }
      },
    }[kind];
  }

  function freeze(value) {
    if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
      Object.freeze(value);
      Object.values(value).forEach(freeze);
    }
    return value;
  }

  function immutable() { throw new TypeError("SharedArray is immutable"); }

  function indexOf(key, length) {
    if (typeof key !== "string") return -1;
    const index = Number(key);
    return Number.isInteger(index) && index >= 0 && index < length ? index : -1;
  }

  class SharedArray {
    constructor(name, make) {
      if (typeof name !== "string" || name === "") {
        throw new TypeError("empty name provided to SharedArray's constructor");
      }
      if (!native.isInit()) throw new Error("new SharedArray must be called in the init context");
      let handle = native.arrayFind(name);
      if (!handle) {
        if (typeof make !== "function") {
          throw new TypeError("a function is expected as the second argument of SharedArray");
        }
        const items = make();
        if (!Array.isArray(items)) {
          throw new TypeError("only arrays can be made into SharedArray");
        }
        handle = native.arrayKeep(name, items.map((item) => JSON.stringify(item) ?? "null"));
      }
      const length = native.arrayLength(handle);
      const item = (index) => freeze(JSON.parse(native.arrayItem(handle, index)));
      return new Proxy([], {
        get(target, key, receiver) {
          if (key === "length") return length;
          const index = indexOf(key, length);
          return index < 0 ? Reflect.get(target, key, receiver) : item(index);
        },
        has: (target, key) => indexOf(key, length) >= 0 || Reflect.has(target, key),
        ownKeys: () => [...Array.from({ length }, (_, i) => String(i)), "length"],
        getOwnPropertyDescriptor(target, key) {
          const index = indexOf(key, length);
          if (index < 0) return Reflect.getOwnPropertyDescriptor(target, key);
          return { value: item(index), enumerable: true, configurable: true, writable: false };
        },
        set: immutable,
        deleteProperty: immutable,
        defineProperty: immutable,
        setPrototypeOf: immutable,
      });
    }
  }

  // An object whose properties are asked for when they are looked at.
  function asked(prefix, names) {
    const object = {};
    for (const name of names) {
      const get = () => native.execution(prefix + name);
      Object.defineProperty(object, name, { get, enumerable: true });
    }
    return object;
  }

  const tags = new Proxy({}, {
    get: (_, key) => (typeof key === "string" ? native.tag(key) : undefined),
    set(_, key, value) {
      if (!["string", "number", "boolean"].includes(typeof value)) {
        throw new TypeError("only String, Boolean and Number types are accepted as a tag's value");
      }
      native.setTag(String(key), String(value));
      return true;
    },
    has: (_, key) => native.tag(String(key)) !== undefined,
    deleteProperty(_, key) {
      native.deleteTag(String(key));
      return true;
    },
    ownKeys: () => native.tagKeys(),
    getOwnPropertyDescriptor: (_, key) => ({
      value: native.tag(String(key)), enumerable: true, configurable: true, writable: true,
    }),
  });

  const vu = asked("vu.", [
    "idInInstance", "idInTest", "iterationInInstance", "iterationInScenario",
  ]);
  vu.tags = tags;
  vu.metrics = { tags, metadata: {} };

  const test = {
    abort: (reason) => native.abort(reason === undefined ? "" : String(reason)),
    fail: (reason) => native.failTest(reason === undefined ? "" : String(reason)),
  };
  Object.defineProperty(test, "options", {
    get: () => JSON.parse(native.execution("test.options")),
    enumerable: true,
  });

  class Hasher {
    constructor(algorithm, key) {
      Object.defineProperty(this, "parts", { value: [] });
      Object.defineProperty(this, "algorithm", { value: algorithm });
      Object.defineProperty(this, "key", { value: key });
    }
    update(input) { this.parts.push(input); }
    digest(encoding) {
      return native.digest(this.algorithm, this.key, this.parts, encoding ?? "hex");
    }
  }

  const algorithms = ["md5", "sha1", "sha256", "sha384", "sha512", "sha512_256"];
  const missing = ["md4", "sha512_224", "ripemd160"];
  const crypto = {
    randomBytes: native.randomBytes,
    createHash: (algorithm) => new Hasher(String(algorithm), undefined),
    createHMAC: (algorithm, key) => new Hasher(String(algorithm), key),
    hmac: (algorithm, key, input, encoding) =>
      native.digest(String(algorithm), key, [input], encoding ?? "hex"),
  };
  for (const name of [...algorithms, ...missing]) {
    crypto[name] = (input, encoding) => native.digest(name, undefined, [input], encoding ?? "hex");
  }

  function timer(repeats, name) {
    return (call, delay, ...args) => {
      if (typeof call !== "function") {
        throw new TypeError(`${name}'s first argument must be a function`);
      }
      return native.startTimer(() => call(...args), Number(delay ?? 0) || 0, repeats);
    };
  }
  const timers = {
    setTimeout: timer(false, "setTimeout"),
    setInterval: timer(true, "setInterval"),
    clearTimeout: (id) => native.stopTimer(id),
    clearInterval: (id) => native.stopTimer(id),
  };

  function shown(value) {
    if (typeof value === "string") return value;
    if (value instanceof Error || Object.prototype.toString.call(value) === "[object Error]") {
      return value.stack ? `${value}\n${value.stack}` : String(value);
    }
    if (typeof value === "object" && value !== null) {
      try {
        return JSON.stringify(value) ?? String(value);
      } catch {
        return "[object Object]";
      }
    }
    return String(value);
  }
  const console = {};
  for (const level of ["log", "info", "warn", "error", "debug"]) {
    console[level] = (...values) => native.log(level, values.map(shown).join(" "));
  }
  console.assert = (holds, ...values) => {
    if (!holds) native.log("error", ["Assertion failed", ...values.map(shown)].join(" "));
  };

  const webcrypto = {
    getRandomValues(array) {
      const bytes = new Uint8Array(native.randomBytes(array.byteLength));
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes);
      return array;
    },
    randomUUID() {
      const bytes = new Uint8Array(native.randomBytes(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    },
  };

  const constants = {
    SSL_3_0: "ssl3.0", TLS_1_0: "tls1.0", TLS_1_1: "tls1.1", TLS_1_2: "tls1.2", TLS_1_3: "tls1.3",
    OCSP_STATUS_GOOD: "good", OCSP_STATUS_REVOKED: "revoked",
    OCSP_STATUS_SERVER_FAILED: "server_failed", OCSP_STATUS_UNKNOWN: "unknown",
    OCSP_REASON_AA_COMPROMISE: "aa_compromise",
    OCSP_REASON_AFFILIATION_CHANGED: "affiliation_changed",
    OCSP_REASON_CA_COMPROMISE: "ca_compromise",
    OCSP_REASON_CERTIFICATE_HOLD: "certificate_hold",
    OCSP_REASON_CESSATION_OF_OPERATION: "cessation_of_operation",
    OCSP_REASON_KEY_COMPROMISE: "key_compromise",
    OCSP_REASON_PRIVILEGE_WITHDRAWN: "privilege_withdrawn",
    OCSP_REASON_REMOVE_FROM_CRL: "remove_from_crl",
    OCSP_REASON_SUPERSEDED: "superseded", OCSP_REASON_UNSPECIFIED: "unspecified",
  };

  return {
    "k6": {
      check: native.check,
      fail: (reason) => { throw new Error(reason === undefined ? "" : String(reason)); },
      group: native.group,
      randomSeed: native.randomSeed,
      sleep: native.sleep,
    },
    "k6/http": {
      get: native.get, head: native.head, post: native.post, put: native.put,
      patch: native.patch, del: native.del, options: native.options, request: native.request,
      asyncRequest: native.asyncRequest, batch, file, url, CookieJar,
      cookieJar: () => new CookieJar(native.jarCurrent()),
      expectedStatuses: native.expectedStatuses,
      setResponseCallback: native.setResponseCallback,
      ...constants,
    },
    "k6/metrics": {
      Counter: metric("Counter"), Gauge: metric("Gauge"), Rate: metric("Rate"),
      Trend: metric("Trend"),
    },
    "k6/data": { SharedArray },
    "k6/execution": {
      scenario: asked("scenario.", [
        "name", "executor", "startTime", "progress", "iterationInInstance", "iterationInTest",
      ]),
      instance: asked("instance.", [
        "iterationsInterrupted", "iterationsCompleted", "vusActive", "vusInitialized",
        "currentTestRunDuration",
      ]),
      test,
      vu,
    },
    "k6/encoding": {
      b64encode: (input, variant) => native.b64encode(input, variant ?? "std"),
      b64decode: (input, variant, format) =>
        native.b64decode(String(input), variant ?? "std", format === "s"),
    },
    "k6/crypto": crypto,
    "k6/timers": timers,
    "globals": { console, crypto: webcrypto, open: native.open, random: native.random, ...timers },
  };
}
