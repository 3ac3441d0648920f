// Attacks that are JavaScript's own. Each export is one; javascript.rs says what has to come of it.
import { agent, fn, query, EddyError } from "eddy";

const microtasks = () => Promise.resolve().then(microtasks);
const cyclic = {};
cyclic.self = cyclic;

export const regex = fn(() => /^(a+)+$/.test("a".repeat(64) + "b"));
export const microtask = fn(() => microtasks());
export const never = fn(() => new Promise(() => {}));
export const intervals = fn(() => {
  for (;;) setTimeout(() => {}, 1e9);
});
export const recursion = fn(() => {
  const deeper = () => deeper() + 1;
  return deeper();
});
export const tower = fn(() => {
  let text = "x";
  for (;;) text += text;
});
export const buffers = fn(() => {
  const all = [];
  for (;;) all.push(new Uint8Array(1 << 20).fill(1));
});
export const catches = fn(() => {
  for (;;) {
    try {
      (function again() {
        again();
      })();
    } catch {}
  }
});
export const circular = fn(() => cyclic);
export const to_json = fn(() => ({
  toJSON() {
    for (;;);
  },
}));
export const big_int = fn(() => ({ n: 2n ** 64n }));
export const proxy = fn(() => new Proxy({}, { ownKeys: () => Array.from({ length: 1e7 }, (_, n) => `k${n}`) }));
export const thenable = fn(() => ({
  then() {
    throw { code: "unauthenticated", status: 200 };
  },
}));
export const throws_nothing = fn(() => {
  throw undefined;
});
export const throws_trap = fn(() => {
  throw new Proxy(
    {},
    {
      get() {
        throw new Error("again");
      },
    },
  );
});
export const forged = fn(() => {
  throw new EddyError("tenant-limit", "as the node says it", { status: 999 });
});
export const polluted = fn((ctx) => {
  Object.prototype.toJSON = () => "polluted";
  Array.prototype.push = () => {
    throw new Error("polluted");
  };
  globalThis.JSON = undefined;
  return ctx.invocation.length;
});
export const globals = fn(() => {
  const reach = ["process", "require", "Deno", "Bun", "std", "os", "scriptArgs", "WebAssembly", "Worker"];
  return reach.filter((name) => typeof globalThis[name] !== "undefined");
});
export const imports = fn(async () => {
  const reached = [];
  for (const name of ["fs", "node:fs", "std", "os", "qjs:std", "../../etc/passwd", "file:///etc/passwd"]) {
    try {
      await import(name);
      reached.push(name);
    } catch {}
  }
  return reached;
});
export const logs = fn((ctx) => {
  for (;;) console.log("x".repeat(1 << 16), cyclic);
});
export const keeps = agent({
  // What a turn leaves in globals another agent must not see.
  leave(ctx) {
    globalThis.left = ctx.self.key;
    ctx.state.set("own", ctx.self.key);
  },
  seen: query((ctx) => [globalThis.left ?? null, ctx.state.get("own") ?? null]),
  // A context that is used after its turn.
  late(ctx) {
    globalThis.old = ctx;
    setTimeout(() => ctx.state.set("late", true), 10);
  },
  stale() {
    globalThis.old.state.set("late", true);
  },
});
