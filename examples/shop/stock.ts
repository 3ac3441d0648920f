// stock/SKU: how much of one thing there is. Its rule, true after every turn:
//
//     free + held + sold = everything ever restocked
//
// A turn is atomic: the state, the answers it sends and the timer it sets are committed together
// or not at all. So each method moves a quantity from one number to another in one turn, and a
// crash or a retry can never find it half moved.

import { agent, query } from "eddy";
import { positive, type Answer } from "./lib/shared.ts";

/** How long a reservation is held for a cart that does not check out. */
const HOLD_MS = 15 * 60 * 1000;
/** Open reservations; each has a timer, and an agent may have 1,024 of them. */
const MAX_HOLDS = 1000;

interface Levels {
  free: number;
  held: number;
  sold: number;
  holds: number;
}

interface Hold {
  cart: string;
  qty: number;
}

const levels = (ctx): Levels => ctx.state.get("levels") ?? { free: 0, held: 0, sold: 0, holds: 0 };

/** Answers a cart. A send leaves when this turn is committed, exactly once in effect. */
function answer(ctx, cart: string, id: string, answer: Answer) {
  ctx.send("cart", cart, "answered", { id, answer });
}

/** Ends a reservation; what becomes of its quantity is the caller's. None if it has ended. */
function takeHold(ctx, id: string): Hold | undefined {
  const hold: Hold | undefined = ctx.state.get(`hold/${id}`);
  if (!hold) return undefined;
  ctx.state.delete(`hold/${id}`);
  ctx.cancel(`hold/${id}`);
  return hold;
}

/** Puts a reservation's quantity back on the shelf. */
function putBack(ctx, hold: Hold) {
  const { free, held, sold, holds } = levels(ctx);
  ctx.state.set("levels", { free: free + hold.qty, held: held - hold.qty, sold, holds: holds - 1 });
}

export const stock = agent({
  /** From outside: new goods have come. */
  restock(ctx, { qty }: { qty: number }) {
    const now = levels(ctx);
    now.free += positive(qty, "qty");
    ctx.state.set("levels", now);
    return { sku: ctx.self.key, ...now };
  },

  /** From a cart, by send: hold `qty` for it, if there is as much. */
  reserve(ctx, { id, cart, qty }: { id: string; cart: string; qty: number }) {
    // An id is used once; this says so should anyone ever send it again.
    if (ctx.state.get(`hold/${id}`)) return;
    const { free, held, sold, holds } = levels(ctx);
    // Too little is an answer, not a throw: a throw would have the send tried again.
    if (free < qty || holds >= MAX_HOLDS) return answer(ctx, cart, id, "refused");
    ctx.state.set("levels", { free: free - qty, held: held + qty, sold, holds: holds + 1 });
    ctx.state.set(`hold/${id}`, { cart, qty } satisfies Hold);
    // Durable: it fires after a crash too.
    ctx.after(HOLD_MS, "expire", { id }, { name: `hold/${id}` });
    answer(ctx, cart, id, "held");
  },

  /** From a cart, by send: it has checked out. */
  confirm(ctx, { id, cart }: { id: string; cart: string }) {
    const hold = takeHold(ctx, id);
    // The timer was first. Both are turns of this agent, so exactly one of them finds the hold.
    if (!hold) return answer(ctx, cart, id, "expired");
    const { free, held, sold, holds } = levels(ctx);
    ctx.state.set("levels", { free, held: held - hold.qty, sold: sold + hold.qty, holds: holds - 1 });
    answer(ctx, cart, id, "bought");
  },

  /** From a cart, by send: it no longer wants this. */
  release(ctx, { id, cart }: { id: string; cart: string }) {
    const hold = takeHold(ctx, id);
    if (hold) putBack(ctx, hold);
    answer(ctx, cart, id, "released");
  },

  /** From the timer. */
  expire(ctx, { id }: { id: string }) {
    const hold = takeHold(ctx, id);
    if (!hold) return;
    putBack(ctx, hold);
    answer(ctx, hold.cart, id, "expired");
  },

  /** How much there is. A query only reads, so it commits nothing. */
  level: query((ctx) => ({ sku: ctx.self.key, ...levels(ctx) })),
});
