// Calls between agents, their own address, and what belongs to one turn only.

import { agent, query, type AgentContext } from "eddy";
import { make, sleep, type Request } from "./requests";

let kept: AgentContext | undefined;

function count(ctx: AgentContext): number {
  const ticks = (ctx.state.get<number>("ticks") ?? 0) + 1;
  ctx.state.set("ticks", ticks);
  return ticks;
}

export const worker = agent({
  tick(ctx) {
    return count(ctx);
  },

  ticks: query((ctx) => ctx.state.get("ticks") ?? 0),

  address: query((ctx) => ctx.self),

  async work(ctx, { ms, signal }: { ms: number; signal: string }) {
    await ctx.call("worker", signal, "tick");
    await sleep(ms);
    count(ctx);
  },

  request(ctx, wanted: Request) {
    return make(ctx, wanted);
  },

  forget(ctx, wanted: Request) {
    make(ctx, wanted);
    count(ctx);
    return "done";
  },

  call_itself(ctx) {
    return ctx.call(ctx.self.type, ctx.self.key, "tick");
  },

  chain(ctx, { keys }: { keys: string[] }) {
    const [first, ...rest] = keys;
    if (first === undefined) return count(ctx);
    return ctx.call("worker", first, "chain", { keys: rest });
  },

  keep(ctx) {
    kept = ctx;
  },

  use_kept() {
    kept?.state.set("ticks", 1000);
  },
});
