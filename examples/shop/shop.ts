// The entry: what this module exports is what the app defines. Two agent types and one function.

import { fn } from "eddy";
import type { Line } from "./lib/shared.ts";

export { cart } from "./cart.ts";
export { stock } from "./stock.ts";

/**
 * Puts `qty` of `sku` into `cart` and answers when the stock has answered.
 *
 * Both calls are immediate: they are not undone if this function fails afterwards. That is fine
 * here: the first only asks for a reservation, which runs out by itself, and the second only
 * reads. A function that is tried again keeps its invocation's id, so `add` is not done twice.
 */
export const order = fn(
  async (ctx, { cart, sku, qty = 1 }: { cart: string; sku: string; qty?: number }) => {
    const asked: Line = await ctx.call("cart", cart, "add", { sku, qty });
    for (let tries = 0; tries < 100; tries++) {
      const { lines }: { lines: Line[] } = await ctx.call("cart", cart, "show", {});
      const line = lines.find(({ id }) => id === asked.id);
      if (line === undefined || line.status !== "asked") return line ?? null;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return asked; // Still asked: the answer will reach the cart, and `show` will tell.
  },
);
