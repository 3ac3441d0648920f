// The app `behaviour` in TypeScript: what each handler does is in ../README.md.

import { fn } from "eddy";
import { attempt, inTime, make, sleep, type Request } from "./requests";

export { fetch_caught, fetch_json, fetch_url, fetch_within } from "./fetching";
export { alarm, cache, inbox } from "./messages";
export { notebook } from "./notebook";
export { worker } from "./worker";
export { fail, fail_plain } from "./failing";

export const greet = fn((ctx, { name }: { name: string }) => `Hello, ${name}!`);

export const echo = fn((ctx, value: unknown) => value);

export const nothing = fn(() => {});

export const with_default = fn((ctx, { by = 1 }: { by?: number } = {}) => ({ by }));

export const about = fn((ctx) => ({
  now: ctx.now,
  invocation: ctx.invocation,
  random: [ctx.random(), ctx.random()],
  greeting: ctx.env("GREETING"),
  missing: ctx.env("NO_SUCH_NAME") ?? null,
}));

export const same_now = fn(async (ctx) => {
  const before = ctx.now;
  await sleep(20);
  return ctx.now === before;
});

export const log_lines = fn((ctx) => {
  ctx.log("plain");
  ctx.log.trace("at trace");
  ctx.log.debug("at debug");
  ctx.log.info("at info");
  ctx.log.warn("at warn");
  ctx.log.error("at error");
});

export const large = fn((ctx, { bytes }: { bytes: number }) => "x".repeat(bytes));

export const request = fn((ctx, wanted: Request) => make(ctx, wanted));

export const caught = fn((ctx, wanted: Request) => attempt(make(ctx, wanted)));

export const gather = fn((ctx, wanted: Request[]) => Promise.all(wanted.map((one) => make(ctx, one))));

export const gather_caught = fn((ctx, wanted: Request[]) =>
  Promise.all(wanted.map((one) => attempt(make(ctx, one)))));

export const first_of = fn((ctx, wanted: Request[]) => Promise.race(wanted.map((one) => make(ctx, one))));

export const within = fn((ctx, { ms, request }: { ms: number; request: Request }) => inTime(ms, make(ctx, request)));

export const forget = fn((ctx, wanted: Request) => {
  make(ctx, wanted);
  return "done";
});

export const pause = fn(async (ctx, { ms }: { ms: number }) => {
  await sleep(ms);
  return ms;
});

export const rendezvous = fn(async (ctx, { key, wanted }: { key: string; wanted: number }) => {
  await ctx.call("worker", key, "tick");
  for (;;) {
    const ticks: number = await ctx.call("worker", key, "ticks");
    if (ticks >= wanted) return ticks;
    await sleep(10);
  }
});

export const send_to = fn((ctx, { key, notes }: { key: string; notes: string[] }) => {
  for (const note of notes) ctx.send("inbox", key, "receive", { note });
});
