// fetch, Headers, Request and Response over whole bodies: no streams. Which hosts may be reached is
// the node's decision.

import { checkRunning, effect, provideFetch } from "eddy:core";
import { define } from "eddy:web";

const host = globalThis.__host;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

class Headers {
  #values = new Map();
  constructor(init = undefined) {
    if (init === undefined || init === null) return;
    const pairs = init[Symbol.iterator] === undefined ? Object.entries(init) : init;
    for (const [name, value] of pairs) this.append(name, value);
  }
  static #name(name) {
    if (!TOKEN.test(name)) throw new TypeError(`${name} is not a header name`);
    return String(name).toLowerCase();
  }
  static #value(value) {
    const trimmed = String(value).trim();
    if (/[\0\r\n]/.test(trimmed)) throw new TypeError("a header value cannot hold a line break");
    return trimmed;
  }
  append(name, value) {
    const key = Headers.#name(name);
    const values = this.#values.get(key) ?? [];
    values.push(Headers.#value(value));
    this.#values.set(key, values);
  }
  set(name, value) {
    this.#values.set(Headers.#name(name), [Headers.#value(value)]);
  }
  get(name) {
    return this.#values.get(Headers.#name(name))?.join(", ") ?? null;
  }
  getSetCookie() {
    return [...(this.#values.get("set-cookie") ?? [])];
  }
  has(name) {
    return this.#values.has(Headers.#name(name));
  }
  delete(name) {
    this.#values.delete(Headers.#name(name));
  }
  forEach(callback, thisArg) {
    for (const [name, value] of this) callback.call(thisArg, value, name, this);
  }
  *entries() {
    for (const name of [...this.#values.keys()].sort()) {
      if (name === "set-cookie") for (const value of this.#values.get(name)) yield [name, value];
      else yield [name, this.#values.get(name).join(", ")];
    }
  }
  *keys() {
    for (const [name] of this) yield name;
  }
  *values() {
    for (const [, value] of this) yield value;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
}

// The bytes of a body, and the content type it implies.
function extract(body) {
  if (body === undefined || body === null) return [undefined, undefined];
  if (typeof body === "string") return [encoder.encode(body), "text/plain;charset=UTF-8"];
  if (body instanceof URLSearchParams) {
    return [encoder.encode(body.toString()), "application/x-www-form-urlencoded;charset=UTF-8"];
  }
  if (body instanceof ArrayBuffer) return [new Uint8Array(body), undefined];
  if (ArrayBuffer.isView(body)) return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength), undefined];
  return [encoder.encode(String(body)), "text/plain;charset=UTF-8"];
}

class Body {
  #bytes;
  #used = false;
  constructor(body, headers) {
    const [bytes, type] = extract(body);
    this.#bytes = bytes;
    if (type !== undefined && !headers.has("content-type")) headers.set("content-type", type);
  }
  static peek(body) {
    return body.#bytes;
  }
  #take() {
    if (this.#used) throw new TypeError("the body was read already");
    this.#used = true;
    return this.#bytes ?? new Uint8Array(0);
  }
  get bodyUsed() {
    return this.#used;
  }
  async bytes() {
    return this.#take().slice();
  }
  async arrayBuffer() {
    return this.#take().slice().buffer;
  }
  async text() {
    return decoder.decode(this.#take());
  }
  async json() {
    return JSON.parse(decoder.decode(this.#take()));
  }
}
const peek = Body.peek;
delete Body.peek;

class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : undefined;
    const headers = new Headers(init.headers ?? from?.headers);
    const method = String(init.method ?? from?.method ?? "GET");
    const upper = method.toUpperCase();
    const body = init.body ?? (from && peek(from));
    if ((upper === "GET" || upper === "HEAD") && body !== undefined && body !== null) {
      throw new TypeError(`a ${upper} request has no body`);
    }
    super(body, headers);
    this.method = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"].includes(upper) ? upper : method;
    this.url = from ? from.url : new URL(input).href;
    this.headers = headers;
    this.signal = init.signal ?? from?.signal ?? null;
  }
  clone() {
    return new Request(this);
  }
}

class Response extends Body {
  constructor(body = null, init = {}) {
    const headers = new Headers(init.headers);
    super(body, headers);
    this.status = init.status ?? 200;
    if (!(this.status >= 100 && this.status <= 599)) throw new RangeError("the status must be from 100 to 599");
    this.statusText = String(init.statusText ?? "");
    this.headers = headers;
    this.url = "";
    this.redirected = false;
    this.type = "default";
  }
  get ok() {
    return this.status >= 200 && this.status <= 299;
  }
  clone() {
    if (this.bodyUsed) throw new TypeError("the body was read already");
    const copy = new Response(peek(this)?.slice(), this);
    copy.url = this.url;
    return copy;
  }
  static json(value, init = {}) {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }
}

function fetch(input, init = undefined) {
  return effect((resolve, reject) => {
    checkRunning("fetch");
    const request = new Request(input, init);
    const { signal } = request;
    signal?.throwIfAborted();
    const done = (status, flat, bytes) => {
      const response = new Response(bytes);
      // Of what is made here the range is checked; a server says what it likes.
      response.status = status;
      for (let i = 0; i < flat.length; i += 2) response.headers.append(flat[i], flat[i + 1]);
      response.url = request.url;
      resolve(response);
    };
    const id = host.startFetch(request.method, request.url, [...request.headers].flat(), peek(request), done, reject);
    signal?.addEventListener("abort", () => {
      host.cancel(id);
      reject(signal.reason);
    });
  });
}

provideFetch(fetch);
define("fetch", fetch);
define("Headers", Headers);
define("Request", Request);
define("Response", Response);
