// The TypeScript counter of the benchmarks: the same methods as the agent type `counter` of the
// Rust guest, as a user would write them.
import { agent, query } from "eddy";

export const tsCounter = agent({
  increment(ctx, { by = 1 } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  // Computes for about five milliseconds before it commits, as handlers with some logic do.
  work(ctx) {
    let x = 1;
    for (let i = 0; i < 20_000; i++) x = (x * 48271) % 2147483647;
    ctx.state.set("x", x);
    return { x };
  },
  put(ctx, { key }) {
    ctx.state.set(key, "x".repeat(100));
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});
