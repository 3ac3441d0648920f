// What a program imports as "eddy": agents, functions, their contexts and EddyError. Runs once,
// when the runtime's snapshot is made; what it needs of the language is captured here, before any
// program runs. No web globals: those are in web.js, url.js and fetch.js.

const host = globalThis.__host;
const { defineProperty, freeze, keys } = Object;
const { apply } = Reflect;
const { isView } = ArrayBuffer;
const { stringify } = JSON;
const { isFinite } = Number;
const PromiseCtor = Promise;
const TypeErrorCtor = TypeError;
const ErrorCtor = Error;
const Bytes = Uint8Array;
const text = String;

// ---------------------------------------------------------------- errors

export class EddyError extends ErrorCtor {
  constructor(code, message = "", options = undefined) {
    super(text(message), options);
    hidden(this, "name", text(code));
    this.code = this.name;
    if (options?.status !== undefined) this.status = options.status;
    if (options?.details !== undefined) this.details = options.details;
  }
}

function hidden(object, name, value) {
  defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
}

function fail(code, message, status, details) {
  return new EddyError(code, message, { status, details });
}

// What a thrown value says, for the node: [code, message, stack, status, details].
function describe(thrown) {
  try {
    if (thrown === null || typeof thrown !== "object") {
      return ["Error", typeof thrown === "string" ? thrown : format([thrown]), undefined, undefined, undefined];
    }
    const eddy = thrown instanceof EddyError;
    const code = text((eddy ? thrown.code : thrown.name) || "Error");
    const message = typeof thrown.message === "string" ? thrown.message : format([thrown]);
    const stack = typeof thrown.stack === "string" ? thrown.stack : undefined;
    const status = thrown.status >= 400 && thrown.status < 600 ? thrown.status | 0 : undefined;
    let details;
    try {
      details = stringify(thrown.details);
    } catch {
      details = undefined;
    }
    return [code, message, stack, status, details];
  } catch {
    return ["Error", "an error that cannot be read was thrown", undefined, undefined, undefined];
  }
}

// ---------------------------------------------------------------- log

export function format(args) {
  let line = "";
  for (let i = 0; i < args.length; i++) {
    if (i > 0) line += " ";
    line += formatOne(args[i]);
  }
  return line;
}

function formatOne(value) {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? `${value}n` : text(value);
  try {
    if (value instanceof ErrorCtor) return host.errorText(`${value.name}: ${value.message}`, text(value.stack ?? ""));
    return stringify(value) ?? text(value);
  } catch {
    return "[object that JSON cannot show]";
  }
}

function makeLog(turn) {
  const at = (level) => (...args) => {
    check(turn);
    host.log(level, format(args));
  };
  const log = at(2);
  log.trace = at(0);
  log.debug = at(1);
  log.info = at(2);
  log.warn = at(3);
  log.error = at(4);
  return freeze(log);
}

// ---------------------------------------------------------------- turns

// The turn that runs now; 0 between turns. A context works while its own number is here.
let current = 0;
let turns = 0;

function check(turn) {
  if (turn !== current) {
    throw fail("context-closed", "this context was used after its handler had returned: await everything it starts");
  }
}

// For globals such as fetch and setTimeout, which belong to whatever turn runs.
export function checkRunning(what) {
  if (current === 0) throw fail("context-closed", `${what} works only while a handler runs`);
}

function string(value, what) {
  if (typeof value === "string") return value;
  throw new TypeErrorCtor(`${what} must be a string, not ${value === null ? "null" : typeof value}`);
}

function milliseconds(value) {
  if (typeof value === "number" && isFinite(value) && value >= 0) return value;
  throw new TypeErrorCtor(`the delay must be a number of milliseconds, not ${formatOne(value)}`);
}

// Starts an immediate effect: `start(resolve, reject)`.
export function effect(start) {
  return new PromiseCtor(start);
}

class State {
  #turn;
  constructor(turn) {
    this.#turn = turn;
  }
  get(key) {
    check(this.#turn);
    return host.stateGet(string(key, "the key"));
  }
  set(key, value) {
    check(this.#turn);
    if (value === undefined) throw new TypeErrorCtor("state cannot hold undefined: use delete");
    host.stateSet(string(key, "the key"), plainBytes(value));
  }
  delete(key) {
    check(this.#turn);
    return host.stateDelete(string(key, "the key"));
  }
  list(prefix = "", options = undefined) {
    check(this.#turn);
    const after = options?.after;
    const limit = options?.limit ?? 1000;
    if (typeof limit !== "number" || !(limit >= 0)) {
      throw new TypeErrorCtor(`limit must be a number of entries, 0 or more, not ${typeof limit === "number" ? limit : typeof limit}`);
    }
    if (after !== undefined) string(after, "after");
    return host.stateList(string(prefix, "the prefix"), after, limit > 1000 ? 1000 : limit);
  }
}
freeze(State.prototype);

// Any view of a buffer as the bytes it shows.
export function plainBytes(value) {
  if (typeof value !== "object" || !isView(value) || value.constructor === Bytes) return value;
  return new Bytes(value.buffer, value.byteOffset, value.byteLength);
}

class Context {
  #turn;
  #log;
  constructor(turn) {
    this.#turn = turn;
  }
  get now() {
    check(this.#turn);
    return host.now();
  }
  get invocation() {
    check(this.#turn);
    return host.invocation();
  }
  get log() {
    check(this.#turn);
    return (this.#log ??= makeLog(this.#turn));
  }
  random() {
    check(this.#turn);
    return host.random();
  }
  env(name) {
    check(this.#turn);
    return host.env(string(name, "the name"));
  }
  call(type, key, method, argument) {
    check(this.#turn);
    string(type, "the agent type");
    string(key, "the agent key");
    string(method, "the method");
    return effect((resolve, reject) => host.startCall(type, key, method, argument, resolve, reject));
  }
  invoke(name, argument) {
    check(this.#turn);
    string(name, "the function");
    return effect((resolve, reject) => host.startInvoke(name, argument, resolve, reject));
  }
  send(type, key, method, argument) {
    check(this.#turn);
    string(type, "the agent type");
    string(key, "the agent key");
    host.send(type, key, string(method, "the method"), argument);
  }
  fetch(input, init) {
    check(this.#turn);
    return globalFetch(input, init);
  }
}
freeze(Context.prototype);

let globalFetch;
export function provideFetch(fetch) {
  globalFetch = fetch;
}

class AgentContext extends Context {
  #turn;
  #self;
  #state;
  constructor(turn, self) {
    super(turn);
    this.#turn = turn;
    this.#self = self;
    this.#state = new State(turn);
  }
  get self() {
    check(this.#turn);
    return this.#self;
  }
  get state() {
    check(this.#turn);
    return this.#state;
  }
  after(ms, method, argument, options = undefined) {
    check(this.#turn);
    string(method, "the method");
    host.setTimer(string(options?.name ?? method, "the timer's name"), milliseconds(ms), method, argument);
  }
  cancel(name) {
    check(this.#turn);
    return host.cancelTimer(string(name, "the timer's name"));
  }
}
freeze(AgentContext.prototype);

// ---------------------------------------------------------------- definitions

const agents = new WeakMap();
const functions = new WeakMap();
const queries = new WeakMap();

function callable(value, what) {
  if (typeof value !== "function") throw new TypeErrorCtor(`${what} must be a function, not ${value === null ? "null" : typeof value}`);
}

export function agent(methods) {
  if (typeof methods !== "object" || methods === null) throw new TypeErrorCtor("agent() takes an object of methods");
  const names = keys(methods);
  for (let i = 0; i < names.length; i++) callable(methods[names[i]], `the method ${names[i]}`);
  const definition = freeze({ ...methods });
  agents.set(definition, true);
  return definition;
}

export function fn(handler) {
  callable(handler, "what fn() takes");
  const wrapper = function (...args) {
    return apply(handler, this, args);
  };
  functions.set(wrapper, handler);
  return wrapper;
}

export function query(method) {
  callable(method, "what query() takes");
  const wrapper = function (...args) {
    return apply(method, this, args);
  };
  queries.set(wrapper, method);
  return wrapper;
}

// What the exports of the entry module define, flat:
// ["fn", name, handler] | ["agent", type, definition] | ["method", type, name, handler, readOnly].
function definitions(exports) {
  const found = [];
  const names = keys(exports);
  for (let i = 0; i < names.length; i++) {
    const value = exports[names[i]];
    if (typeof value === "function" && functions.has(value)) found.push(["fn", names[i], functions.get(value)]);
    if (typeof value === "object" && value !== null && agents.has(value)) {
      found.push(["agent", names[i], value]);
      const methods = keys(value);
      for (let j = 0; j < methods.length; j++) {
        const method = value[methods[j]];
        const readOnly = queries.has(method);
        found.push(["method", names[i], methods[j], readOnly ? queries.get(method) : method, readOnly]);
      }
    }
  }
  return found;
}

// ---------------------------------------------------------------- for the runtime

// What the console forgets between turns, once it has something to forget.
let ended;
export function atEnd(forget) {
  ended = forget;
}

export const hooks = {
  fail,
  describe,
  definitions,
  self: (type, key) => freeze({ type, key }),
  runFunction: (handler, argument) => settle(apply(handler, undefined, [new Context((current = ++turns)), argument])),
  runMethod: (handler, definition, self, argument) =>
    settle(apply(handler, definition, [new AgentContext((current = ++turns), self), argument])),
  end: () => {
    current = 0;
    ended?.();
  },
  unhandled: (reason) => `Unhandled rejection: ${formatOne(reason)}`,
};

// A thenable that is no promise becomes one, so that the runtime only waits for promises.
function settle(value) {
  if (typeof value === "object" && value !== null && !(value instanceof PromiseCtor) && typeof value.then === "function") {
    return PromiseCtor.resolve(value);
  }
  return value;
}

freeze(EddyError.prototype);
freeze(EddyError);
