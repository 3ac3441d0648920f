// Requests to others, and the ways to wait for them.

import { EddyError, type FunctionContext } from "eddy";

/** An agent to call, or a function to invoke. */
export type Request =
  | { type: string; key: string; method: string; argument?: unknown }
  | { function: string; argument?: unknown };

/** Makes a request. */
export function make(ctx: FunctionContext, wanted: Request): Promise<unknown> {
  if ("function" in wanted) return ctx.invoke(wanted.function, wanted.argument);
  return ctx.call(wanted.type, wanted.key, wanted.method, wanted.argument);
}

/** What came of it: a value, or what a caller sees of the error. */
export async function attempt(work: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await work };
  } catch (error) {
    if (error instanceof EddyError) return caught(error);
    throw error;
  }
}

/** An error of a guest has its own name and details inside of the node's. */
function caught(error: EddyError) {
  const guest = error.code === "guest-error" ? error.details : undefined;
  return {
    code: error.code,
    status: error.status ?? null,
    name: guest?.name ?? null,
    details: guest?.details ?? null,
  };
}

/** Its value, unless it takes longer. */
export async function inTime(ms: number, work: Promise<unknown>): Promise<unknown> {
  const late = sleep(ms).then(() => ({ timed_out: true }));
  return await Promise.race([work.then((value) => ({ value })), late]);
}

/** Resolves after so many milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
