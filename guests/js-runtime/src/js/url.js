// URL and URLSearchParams (WHATWG). Parsing and serialising happen in Rust; this keeps the parts.

import { define } from "eddy:web";

const host = globalThis.__host;
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

class URLSearchParams {
  #pairs = [];
  #changed;
  constructor(init = "", changed = undefined) {
    this.#changed = changed;
    if (typeof init === "object" && init !== null) {
      const pairs = init[Symbol.iterator] === undefined ? Object.entries(init) : init;
      for (const pair of pairs) {
        const [name, value, ...rest] = pair;
        if (value === undefined || rest.length > 0) throw new TypeError("each pair must have a name and a value");
        this.#pairs.push([String(name), String(value)]);
      }
    } else {
      this.#parse(String(init));
    }
  }
  #parse(query) {
    const flat = host.formParse(query.toWellFormed());
    this.#pairs = [];
    for (let i = 0; i < flat.length; i += 2) this.#pairs.push([flat[i], flat[i + 1]]);
  }
  #update() {
    this.#changed?.(this.toString());
  }
  static reset(params, query) {
    params.#parse(query);
  }
  get size() {
    return this.#pairs.length;
  }
  append(name, value) {
    this.#pairs.push([String(name), String(value)]);
    this.#update();
  }
  delete(name, value) {
    this.#pairs = this.#pairs.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value)));
    this.#update();
  }
  get(name) {
    return this.#pairs.find(([n]) => n === String(name))?.[1] ?? null;
  }
  getAll(name) {
    return this.#pairs.filter(([n]) => n === String(name)).map(([, v]) => v);
  }
  has(name, value) {
    return this.#pairs.some(([n, v]) => n === String(name) && (value === undefined || v === String(value)));
  }
  set(name, value) {
    const first = this.#pairs.find(([n]) => n === String(name));
    if (first === undefined) {
      this.#pairs.push([String(name), String(value)]);
    } else {
      first[1] = String(value);
      this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== first[0]);
    }
    this.#update();
  }
  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#update();
  }
  forEach(callback, thisArg) {
    for (const [name, value] of this.#pairs) callback.call(thisArg, value, name, this);
  }
  *keys() {
    for (const [name] of this.#pairs) yield name;
  }
  *values() {
    for (const [, value] of this.#pairs) yield value;
  }
  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  toString() {
    return host.formSerialize(this.#pairs.flat().map((part) => part.toWellFormed()));
  }
}
const reset = URLSearchParams.reset;
delete URLSearchParams.reset;

class URL {
  #parts;
  #params;
  constructor(input, base = undefined) {
    const parts = host.urlParse(String(input).toWellFormed(), base === undefined ? undefined : String(base).toWellFormed());
    if (parts === undefined) throw new TypeError(`Invalid URL: ${input}`);
    this.#parts = parts;
  }
  static canParse(input, base = undefined) {
    return URL.parse(input, base) !== null;
  }
  static parse(input, base = undefined) {
    try {
      return new URL(input, base);
    } catch {
      return null;
    }
  }
  static part(url, index) {
    return url.#parts[index];
  }
  static setPart(url, name, value, keepParams) {
    const parts = host.urlSet(url.#parts[0], name, value);
    if (parts === undefined) {
      if (name === "href") throw new TypeError(`Invalid URL: ${value}`);
      return;
    }
    url.#parts = parts;
    if (url.#params !== undefined && !keepParams) reset(url.#params, parts[9]);
  }
  get searchParams() {
    this.#params ??= new URLSearchParams(this.#parts[9], (query) => setPart(this, "search", query, true));
    return this.#params;
  }
  toString() {
    return this.#parts[0];
  }
  toJSON() {
    return this.#parts[0];
  }
}
const { part, setPart } = URL;
delete URL.part;
delete URL.setPart;
PARTS.forEach((name, index) => {
  const get = function () {
    return part(this, index);
  };
  const set = function (value) {
    setPart(this, name, String(value).toWellFormed(), false);
  };
  Object.defineProperty(URL.prototype, name, { get, set: name === "origin" ? undefined : set, enumerable: true, configurable: true });
});

define("URL", URL);
define("URLSearchParams", URLSearchParams);
