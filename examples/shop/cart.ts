// cart/NAME: what somebody wants, reserved in the stock.
//
// Why sends and not calls: `await ctx.call("stock", ...)` inside a turn takes effect at once, and
// is not undone when the turn fails afterwards. A cart that called `reserve` and then crashed
// would leave stock reserved for a line that does not exist. A send leaves only when the turn is
// committed, together with the line that it is about, and then reaches the stock exactly once in
// effect. Order holds between one cart and one stock: a `release` never overtakes its `reserve`.

import { agent, EddyError, query } from "eddy";
import { positive, type Answer, type Line, type Status } from "./lib/shared.ts";

/** What an answer makes of a line. An answer that is not listed comes too late and changes nothing. */
const NEXT: Record<Status, Partial<Record<Answer, Status | "gone">>> = {
  asked: { held: "held", refused: "refused" },
  held: { expired: "expired" },
  buying: { bought: "bought", expired: "expired" },
  removing: { refused: "gone", released: "gone" },
  refused: {},
  expired: {},
  bought: {},
};

const lines = (ctx): Line[] => ctx.state.list("line/").map(([, line]) => line);

const conflict = (code: string, message: string) => new EddyError(code, message, { status: 409 });

/** Gives a line its next status. With `tell`, the stock learns of it in the same commit. */
function move(ctx, line: Line, status: Status, tell?: "confirm" | "release") {
  ctx.state.set(`line/${line.id}`, { ...line, status });
  if (tell) ctx.send("stock", line.sku, tell, { id: line.id, cart: ctx.self.key });
}

export const cart = agent({
  /** Asks the stock to reserve `qty` of `sku`. The answer comes by `answered`. */
  add(ctx, { sku, qty = 1 }: { sku: string; qty?: number }): Line {
    // The number comes from the state, so a turn that is run again picks the same one.
    const number = (ctx.state.get("lines") ?? 0) + 1;
    const id = `${ctx.self.key}#${String(number).padStart(6, "0")}`;
    const line: Line = { id, sku, qty: positive(qty, "qty"), status: "asked" };
    ctx.state.set("lines", number);
    ctx.state.set(`line/${id}`, line);
    ctx.send("stock", sku, "reserve", { id, cart: ctx.self.key, qty: line.qty });
    return line;
  },

  /** From the stock, by send. */
  answered(ctx, { id, answer }: { id: string; answer: Answer }) {
    const line: Line | undefined = ctx.state.get(`line/${id}`);
    const next = line && NEXT[line.status][answer];
    if (next === "gone") ctx.state.delete(`line/${id}`);
    else if (next) move(ctx, line, next);
  },

  /** Gives a line back. */
  remove(ctx, { id }: { id: string }) {
    const line: Line | undefined = ctx.state.get(`line/${id}`);
    if (!line || line.status === "removing") return { removed: line !== undefined };
    if (line.status === "buying" || line.status === "bought") {
      throw conflict("already-bought", `${id} is ${line.status}`);
    }
    if (line.status === "asked" || line.status === "held") move(ctx, line, "removing", "release");
    else ctx.state.delete(`line/${id}`);
    return { removed: true };
  },

  /**
   * Buys every line that is held. All of them change and all messages leave in one commit; each
   * stock then answers `bought`, or `expired` where its timer was first. Charge for what is
   * `bought`, once no line is `buying` any more.
   */
  checkout(ctx) {
    const all = lines(ctx);
    if (all.some(({ status }) => status === "asked")) {
      throw conflict("not-settled", "the stock has not answered for every line yet: try again");
    }
    const held = all.filter(({ status }) => status === "held");
    for (const line of held) move(ctx, line, "buying", "confirm");
    return { buying: held.length };
  },

  /** What is in the cart. */
  show: query((ctx) => ({ lines: lines(ctx) })),
});
