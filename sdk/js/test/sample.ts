// Checks eddy.d.ts: `npx -y -p typescript tsc -p sdk/js/test`. It is only ever compiled.
import { agent, fn, query, EddyError, type AgentContext } from "eddy";
export const counter = agent({
  increment(ctx, { by = 1 } = {}) { const n = (ctx.state.get("n") ?? 0) + by; ctx.state.set("n", n); return { n }; },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
  typed(ctx, arg: { sku: string }) { ctx.after(10, "increment", { by: 1 }, { name: "t" }); ctx.cancel("t"); return arg.sku.length; },
  async other(ctx: AgentContext) {
    const [a, b] = await Promise.all([ctx.call("counter", "x", "typed", { sku: "a" }), ctx.invoke("greet", { name: "x" })]);
    const n: number = a; const s: string = b;
    const u = await ctx.call("elsewhere", "k", "m", { any: 1 });
    const v = await ctx.call<{ z: 1 }>("elsewhere", "k", "m");
    ctx.send("counter", "y", "increment", { by: 2 }); ctx.send("counter", "y", "value"); ctx.send("who", "y", "what", 1);
    ctx.log("x", n, s, u, v.z); ctx.log.warn("w");
    for (const [k, val] of ctx.state.list<number>("p", { limit: 3 })) ctx.log(k, val + 1);
    const r = await fetch("https://x.test"); await ctx.fetch(new URL("https://x.test"));
    return r.status;
  },
});
export const greet = fn((ctx, { name }: { name: string }) => `Hello, ${name}!`);
export const loose = fn((ctx, { name }) => { if (!name) throw new EddyError("no-name", "give a name", { status: 422, details: { a: 1 } }); return ctx.env("X"); });
declare module "eddy" {
  interface Agents { counter: typeof counter }
  interface Functions { greet: typeof greet }
}
export const bad = fn(async (ctx) => {
  // @ts-expect-error the argument lacks sku
  await ctx.call("counter", "x", "typed", {});
  // @ts-expect-error no such method
  await ctx.call("counter", "x", "nope");
  // @ts-expect-error functions have no state
  ctx.state;
  // @ts-expect-error redirects are followed
  await ctx.fetch("https://x.test", { redirect: "manual" });
  // @ts-expect-error nobody knows
  (await ctx.fetch("https://x.test", { method: "PUT", headers: { a: "b" }, body: "c" })).redirected;
  // @ts-expect-error name is a string
  await ctx.invoke("greet", { name: 1 });
});
