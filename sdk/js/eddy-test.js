// What a test file imports as "eddy/test". It runs as a guest, beside the app that it tests: a test is
// a function whose context can also put the clock forward. Bundled in by `eddy test`, never deployed
// otherwise.
import { fn } from "eddy";

const tests = [];

export function test(name, run) {
  if (typeof name !== "string" || name === "") throw new TypeError("a test has a name: test(\"it works\", async (t) => { ... })");
  if (typeof run !== "function") throw new TypeError(`the test ${JSON.stringify(name)} has no function`);
  if (tests.some((known) => known.name === name)) throw new TypeError(`there are two tests ${JSON.stringify(name)}`);
  tests.push({ name, run });
}

export class AssertionError extends Error {
  constructor(message) {
    super(message);
    this.name = "AssertionError";
  }
}

function shown(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `[function ${value.name || "anonymous"}]`;
  if (value instanceof Error) return `${value.details?.name ?? value.name}: ${value.message}`;
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name} ${shown([...value])}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} [${[...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]}]`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function same(a, b, seen) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof Error && (a.name !== b.name || a.message !== b.message)) return false;
  if (a instanceof Map || a instanceof Set) return a.size === b.size && same([...a], [...b], seen);
  const keys = Reflect.ownKeys(a).filter((key) => !(a instanceof Error && key === "stack"));
  const others = Reflect.ownKeys(b).filter((key) => !(b instanceof Error && key === "stack"));
  return keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key], seen));
}

function fail(message, why) {
  throw new AssertionError(message === undefined ? why : `${message}: ${why}`);
}

export function assert(value, message) {
  if (!value) fail(message, `${shown(value)} is not true`);
}

assert.ok = assert;
assert.equal = (actual, expected, message) => {
  if (!same(actual, expected, new Map())) fail(message, `expected ${shown(expected)}\n     got ${shown(actual)}`);
};
assert.notEqual = (actual, other, message) => {
  if (same(actual, other, new Map())) fail(message, `it is ${shown(actual)}, and must not be`);
};
assert.match = (text, pattern, message) => {
  if (typeof text !== "string" || !pattern.test(text)) fail(message, `${shown(text)} does not match ${pattern}`);
};
assert.rejects = async (work, expected, message) => {
  let thrown;
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) fail(message, "nothing was thrown");
  const fits = expected === undefined
    || (typeof expected === "string" && [thrown.code, thrown.name, thrown.details?.name].includes(expected))
    || (expected instanceof RegExp && expected.test(thrown.message))
    || (typeof expected === "function" && thrown instanceof expected);
  if (!fits) fail(message, `expected ${shown(expected)} to be thrown\n     got ${shown(thrown)}`);
  return thrown;
};

// What a test gets: all that a function's context has, and the clock.
function context(ctx) {
  return new Proxy(ctx, {
    get(target, name) {
      if (name === "advance") return (time) => target.invoke("__eddy_advance", time);
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

export const list = fn(() => tests.map((known) => known.name));
export const run = fn(async (ctx, name) => {
  const found = tests.find((known) => known.name === name);
  if (!found) throw new TypeError(`there is no test ${JSON.stringify(name)}`);
  await found.run(context(ctx));
});
