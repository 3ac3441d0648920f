// State, and what queries may not do.

import { agent, EddyError, query } from "eddy";
import { make, type Request } from "./requests";

interface Entry {
  key: string;
  value: unknown;
}

/** A state value in JSON, with its kind. */
function shown(value: unknown) {
  if (value === undefined) return null;
  return value instanceof Uint8Array ? { bytes: [...value] } : { json: value };
}

export const notebook = agent({
  put(ctx, { key, value }: Entry) {
    ctx.state.set(key, value);
  },

  put_bytes(ctx, { key, bytes }: { key: string; bytes: number[] }) {
    ctx.state.set(key, new Uint8Array(bytes));
  },

  put_many(ctx, { prefix, count }: { prefix: string; count: number }) {
    for (let n = 0; n < count; n++) ctx.state.set(prefix + String(n).padStart(3, "0"), n);
  },

  put_large(ctx, { key, bytes }: { key: string; bytes: number }) {
    ctx.state.set(key, "x".repeat(bytes));
  },

  put_and_read(ctx, { key, value }: Entry) {
    ctx.state.set(key, value);
    return shown(ctx.state.get(key));
  },

  remove(ctx, key: string) {
    return ctx.state.delete(key);
  },

  read: query((ctx, key: string) => shown(ctx.state.get(key))),

  list: query((ctx, { prefix, after, limit }: { prefix?: string; after?: string; limit?: number } = {}) =>
    ctx.state.list(prefix, { after, limit }).map(([key, value]) => [key, shown(value)])),

  put_then_fail(ctx, { key, value }: Entry) {
    ctx.state.set(key, value);
    throw new EddyError("changed-mind", "nothing of this turn is to stay");
  },

  async put_and_catch(ctx, { key, value, request }: Entry & { request: Request }) {
    ctx.state.set(key, value);
    try {
      await make(ctx, request);
      return null;
    } catch (error) {
      if (error instanceof EddyError) return error.code;
      throw error;
    }
  },

  put_in_query: query((ctx, { key, value }: Entry) => ctx.state.set(key, value)),

  remove_in_query: query((ctx, key: string) => ctx.state.delete(key)),

  send_in_query: query((ctx, key: string) => ctx.send("worker", key, "tick")),

  timer_in_query: query((ctx) => ctx.after(3_600_000, "put", { key: "late", value: 1 })),

  caught_in_query: query((ctx, { key, value }: Entry) => {
    try {
      ctx.state.set(key, value);
    } catch (error) {
      if (error instanceof EddyError) return error.code;
      throw error;
    }
  }),

  request_in_query: query((ctx, wanted: Request) => make(ctx, wanted)),
});
