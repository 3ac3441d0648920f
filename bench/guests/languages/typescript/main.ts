// The counter of the benchmarks in TypeScript.
import { agent, fn, query } from "eddy";

// Another number for each deploy: the benchmark replaces it.
const VERSION = 424242;

export const counter = agent({
  increment(ctx, { by = 1 } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  put(ctx, { key }) {
    ctx.state.set(key, "x".repeat(100));
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});

export const hello = fn(() => `hello from ${VERSION}`);
