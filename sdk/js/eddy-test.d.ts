/**
 * What a test file (`*.test.ts`) imports from "eddy/test". `eddy test` runs it as a guest beside the app, on a node whose
 * clock it can put forward; each test has the node for itself.
 *
 * ```ts
 * import { test, assert } from "eddy/test";
 *
 * test("a cart that is forgotten empties itself", async (t) => {
 *   await t.call("cart", "alice", "add", { sku: "apple" });
 *   await t.advance("1day");
 *   assert.equal(await t.call("cart", "alice", "items"), []);
 * });
 * ```
 */
import type { FunctionContext } from "eddy";

/** What a test gets: all that a function's context has, and the clock. */
export interface TestContext extends FunctionContext {
  /**
   * Puts the clock forward, and lets everything that falls due until then happen: timers, retries, sleeps. Each at its
   * own moment and in order, so that a timer that sets itself each hour fires 24 times in a day. `now` of what runs
   * afterwards is the new time; the `now` of the test itself stays.
   * @param time Such as `"1day"` or `"2h 30m"`, or milliseconds. At most ten years.
   * @returns The new time, in milliseconds since 1970.
   */
  advance(time: string | number): Promise<number>;
}

/** Registers a test. It fails when `run` throws, or its promise does. Names are unique in a file. */
export function test(name: string, run: (t: TestContext) => unknown): void;

/** Fails unless `value` is truthy. */
export function assert(value: unknown, message?: string): asserts value;
export namespace assert {
  /** Fails unless `value` is truthy. */
  function ok(value: unknown, message?: string): asserts value;
  /** Fails unless both are the same, looked at in depth. */
  function equal(actual: unknown, expected: unknown, message?: string): void;
  /** Fails when both are the same, looked at in depth. */
  function notEqual(actual: unknown, other: unknown, message?: string): void;
  /** Fails unless `text` matches. */
  function match(text: string, pattern: RegExp, message?: string): void;
  /**
   * Fails unless `work` throws; gives what it threw. `expected` is an error's code or name (of an agent's own error, too),
   * a pattern of its message, or its class.
   */
  function rejects(
    work: Promise<unknown> | (() => unknown),
    expected?: string | RegExp | (new (...all: any[]) => Error),
    message?: string,
  ): Promise<any>;
}

/** What a failed assertion throws. */
export class AssertionError extends Error {}
