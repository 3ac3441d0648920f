// Requests to HTTP servers.

import { EddyError, fn, type FunctionContext } from "eddy";
import { inTime } from "./requests";

interface Wanted {
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

async function get(ctx: FunctionContext, { url, ...init }: Wanted) {
  const response = await ctx.fetch(url, init);
  return {
    status: response.status,
    ok: response.ok,
    reply: response.headers.get("x-reply"),
    text: await response.text(),
  };
}

export const fetch_url = fn((ctx, wanted: Wanted) => get(ctx, wanted));

export const fetch_json = fn(async (ctx, { url }: { url: string }) => (await ctx.fetch(url)).json());

export const fetch_caught = fn(async (ctx, { url }: { url: string }) => {
  try {
    return await get(ctx, { url });
  } catch (error) {
    if (error instanceof EddyError) return { code: error.code };
    throw error;
  }
});

export const fetch_within = fn((ctx, { ms, url }: { ms: number; url: string }) =>
  inTime(ms, ctx.fetch(url).then((response) => response.status)));
