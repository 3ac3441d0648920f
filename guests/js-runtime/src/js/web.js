// Globals that web programs expect: console, timers, text encoding, crypto, structuredClone,
// AbortController. Timers live in their turn. Addresses are in url.js, requests in fetch.js.

import { atEnd, checkRunning, effect, format } from "eddy:core";

const host = globalThis.__host;

export function define(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

// What workers call the global object: builds of packages for browsers and workers ask for it.
define("self", globalThis);

// ---------------------------------------------------------------- console

// Of the running turn: how deep its groups are, its counters, its clocks.
let depth = 0;
let counts = new Map();
let clocks = new Map();
const forget = () => {
  depth = 0;
  counts = new Map();
  clocks = new Map();
  atEnd(undefined);
};

const write = (level, text) => host.log(level, depth > 0 ? text.replace(/^/gm, "  ".repeat(depth)) : text);
const at = (level) => (...args) => write(level, format(args));
const group = (...args) => {
  if (args.length > 0) write(2, format(args));
  // Deeper than this nobody reads.
  depth = Math.min(depth + 1, 20);
  atEnd(forget);
};
function sinceTime(label, end, args) {
  const name = String(label);
  const started = clocks.get(name);
  if (started === undefined) return write(3, `Timer "${name}" does not exist`);
  if (end) clocks.delete(name);
  const took = `${name}: ${(host.performanceNow() - started).toFixed(3)} ms`;
  write(2, args.length > 0 ? `${took} ${format(args)}` : took);
}

define("console", {
  trace: at(0),
  debug: at(1),
  log: at(2),
  info: at(2),
  dir: at(2),
  table: at(2),
  warn: at(3),
  error: at(4),
  assert: (condition, ...args) => {
    if (!condition) write(4, `Assertion failed: ${format(args)}`);
  },
  group,
  groupCollapsed: group,
  groupEnd: () => {
    depth = Math.max(depth - 1, 0);
  },
  count: (label = "default") => {
    const name = String(label);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    atEnd(forget);
    write(2, `${name}: ${counts.get(name)}`);
  },
  countReset: (label = "default") => {
    counts.delete(String(label));
  },
  time: (label = "default") => {
    if (clocks.has(String(label))) return write(3, `Timer "${label}" already exists`);
    clocks.set(String(label), host.performanceNow());
    atEnd(forget);
  },
  timeLog: (label = "default", ...args) => sinceTime(label, false, args),
  timeEnd: (label = "default") => sinceTime(label, true, []),
});

// ---------------------------------------------------------------- timers

function timer(what, repeat) {
  return (callback, delay = 0, ...args) => {
    checkRunning(what);
    if (typeof callback !== "function") throw new TypeError(`${what} takes a function`);
    const ms = delay > 0 ? Math.floor(delay) : 0;
    return host.startTimer(ms, repeat, () => callback(...args));
  };
}
const clear = (id) => {
  if (typeof id === "number") host.cancel(id);
};
define("setTimeout", timer("setTimeout", false));
define("setInterval", timer("setInterval", true));
define("clearTimeout", clear);
define("clearInterval", clear);
export const sleep = (ms) => effect((resolve) => host.startTimer(ms, false, resolve));

// ---------------------------------------------------------------- text and randomness

class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(input = "") {
    return host.utf8Encode(String(input).toWellFormed());
  }
  encodeInto(input, target) {
    let read = 0;
    let written = 0;
    for (const character of String(input).toWellFormed()) {
      const bytes = host.utf8Encode(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  #fatal;
  #ignoreBom;
  #rest = new Uint8Array(0);
  constructor(label = "utf-8", options = {}) {
    const name = String(label).trim().toLowerCase();
    if (name !== "utf-8" && name !== "utf8" && name !== "unicode-1-1-utf-8") {
      throw new RangeError(`TextDecoder knows utf-8 only, not ${name}: decode such bytes one by one, with String.fromCharCode`);
    }
    this.#fatal = Boolean(options.fatal);
    this.#ignoreBom = Boolean(options.ignoreBOM);
  }
  get encoding() {
    return "utf-8";
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#ignoreBom;
  }
  decode(input = new Uint8Array(0), options = {}) {
    let bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    if (this.#rest.length > 0) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    const keep = options.stream ? host.utf8Tail(bytes) : 0;
    this.#rest = bytes.slice(bytes.length - keep);
    const text = host.utf8Decode(bytes.subarray(0, bytes.length - keep), this.#fatal);
    if (text === undefined) throw new TypeError("the bytes are not valid UTF-8");
    return !this.#ignoreBom && text.startsWith("\uFEFF") ? text.slice(1) : text;
  }
}
define("TextEncoder", TextEncoder);
define("TextDecoder", TextDecoder);

const isIntegers = (array) => !array[Symbol.toStringTag].startsWith("Float");
define("crypto", {
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues takes a typed array");
    if (array instanceof DataView || !isIntegers(array)) {
      throw new DOMException(`getRandomValues fills arrays of integers, not ${array[Symbol.toStringTag]}`, "TypeMismatchError");
    }
    if (array.byteLength > 65536) throw new DOMException("at most 65536 bytes at a time", "QuotaExceededError");
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(host.randomBytes(array.byteLength));
    return array;
  },
  randomUUID() {
    const bytes = host.randomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toHex();
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  },
});
Math.random = host.mathRandom;
define("performance", { now: host.performanceNow });

// ---------------------------------------------------------------- structuredClone

if (globalThis.DOMException === undefined) {
  define(
    "DOMException",
    class DOMException extends Error {
      constructor(message = "", name = "Error") {
        super(message);
        Object.defineProperty(this, "name", { value: name, configurable: true });
      }
    },
  );
}

function uncloneable(value) {
  return new DOMException(`${typeof value === "symbol" ? "a symbol" : "a function"} cannot be cloned`, "DataCloneError");
}

function clone(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") throw uncloneable(value);
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const copy = emptyCopy(value, seen);
  seen.set(value, copy);
  if (value instanceof Map) for (const [k, v] of value) copy.set(clone(k, seen), clone(v, seen));
  else if (value instanceof Set) for (const v of value) copy.add(clone(v, seen));
  else if (Array.isArray(value) || !isSpecial(value)) for (const k of Object.keys(value)) copy[k] = clone(value[k], seen);
  return copy;
}

const isSpecial = (value) =>
  value instanceof Date || value instanceof RegExp || value instanceof Error || value instanceof ArrayBuffer ||
  ArrayBuffer.isView(value) || value instanceof Number || value instanceof String || value instanceof Boolean;

const errorTypes = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function emptyCopy(value, seen) {
  if (Array.isArray(value)) return new Array(value.length);
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set();
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (value instanceof DataView) return new DataView(clone(value.buffer, seen), value.byteOffset, value.byteLength);
  if (ArrayBuffer.isView(value)) return new value.constructor(clone(value.buffer, seen), value.byteOffset, value.length);
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return Object(value.valueOf());
  if (value instanceof Error) {
    const copy = new (errorTypes[value.name] ?? Error)(value.message);
    Object.defineProperty(copy, "stack", { value: value.stack, writable: true, configurable: true });
    if ("cause" in value) copy.cause = clone(value.cause, seen);
    return copy;
  }
  return {};
}
define("structuredClone", (value, options = undefined) => {
  if (options?.transfer?.length > 0) {
    throw new DOMException("structuredClone transfers nothing here: leave out `transfer`, and the value is copied", "DataCloneError");
  }
  return clone(value, new Map());
});

// ---------------------------------------------------------------- aborting

class AbortSignal {
  #listeners = [];
  aborted = false;
  reason = undefined;
  onabort = null;
  addEventListener(type, listener) {
    if (type === "abort" && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }
  removeEventListener(type, listener) {
    this.#listeners = this.#listeners.filter((other) => other !== listener);
  }
  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }
  static abort(reason) {
    const controller = new AbortController();
    controller.abort(reason);
    return controller.signal;
  }
  static timeout(ms) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException("the time is up", "TimeoutError")), ms);
    return controller.signal;
  }
  static fire(signal, reason) {
    if (signal.aborted) return;
    signal.aborted = true;
    signal.reason = reason === undefined ? new DOMException("the operation was aborted", "AbortError") : reason;
    const event = { type: "abort", target: signal };
    signal.onabort?.(event);
    for (const listener of [...signal.#listeners]) typeof listener === "function" ? listener(event) : listener.handleEvent(event);
  }
}
const fire = AbortSignal.fire;
delete AbortSignal.fire;

class AbortController {
  signal = new AbortSignal();
  abort(reason) {
    fire(this.signal, reason);
  }
}
define("AbortSignal", AbortSignal);
define("AbortController", AbortController);
