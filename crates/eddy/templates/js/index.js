// What this file exports is what the app defines: an agent type with a method and a query, and a function.

import { agent, EddyError, fn, query } from "eddy";

/** A guest book. Each key (`guestbook/main`, `guestbook/garden`) is a book of its own, with durable state. */
export const guestbook = agent({
  /**
   * Adds an entry. Everything a turn changes commits together, or not at all.
   * @param {import("eddy").AgentContext} ctx
   * @param {{ name: string, text: string }} entry
   */
  sign(ctx, { name, text }) {
    if (!text) throw new EddyError("empty-entry", "an entry needs a text", { status: 422 });
    const entries = (ctx.state.get("count") ?? 0) + 1;
    ctx.state.set(`entry/${String(entries).padStart(6, "0")}`, { at: ctx.now, name, text });
    ctx.state.set("count", entries);
    ctx.log(name, "signed", ctx.self.key);
    return { entries };
  },

  /** A query: it reads, and never writes. */
  entries: query((ctx) => ctx.state.list("entry/").map(([, entry]) => entry)),
});

/** A function: no state, any number of them at once. */
export const greet = fn((ctx, /** @type {{ name?: string }} */ { name = "world" } = {}) => {
  ctx.log.debug("greeting", name);
  return `Hello, ${name}!`;
});
