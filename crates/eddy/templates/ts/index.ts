// What this file exports is what the app defines: an agent type with a method and a query, and a function.

import { agent, EddyError, fn, query } from "eddy";

interface Entry {
  at: number;
  name: string;
  text: string;
}

/** A guest book. Each key (`guestbook/main`, `guestbook/garden`) is a book of its own, with durable state. */
export const guestbook = agent({
  /** Adds an entry. Everything a turn changes commits together, or not at all. */
  sign(ctx, { name, text }: { name: string; text: string }): { entries: number } {
    if (!text) throw new EddyError("empty-entry", "an entry needs a text", { status: 422 });
    const entries = (ctx.state.get<number>("count") ?? 0) + 1;
    const entry: Entry = { at: ctx.now, name, text };
    ctx.state.set(`entry/${String(entries).padStart(6, "0")}`, entry);
    ctx.state.set("count", entries);
    ctx.log(name, "signed", ctx.self.key);
    return { entries };
  },

  /** A query: it reads, and never writes. */
  entries: query((ctx): Entry[] => ctx.state.list<Entry>("entry/").map(([, entry]) => entry)),
});

/** A function: no state, any number of them at once. */
export const greet = fn((ctx, { name = "world" }: { name?: string } = {}): string => {
  ctx.log.debug("greeting", name);
  return `Hello, ${name}!`;
});

// Lets `ctx.call("guestbook", ...)` and `ctx.invoke("greet", ...)` know their types.
declare module "eddy" {
  interface Agents {
    guestbook: typeof guestbook;
  }
  interface Functions {
    greet: typeof greet;
  }
}
