// Checks eddy-test.d.ts, as sample.ts checks eddy.d.ts.
import { test, assert, AssertionError } from "eddy/test";
import "./sample";

test("types", async (t) => {
  const n: number = await t.call("counter", "a", "typed", { sku: "x" });
  const now: number = await t.advance("1day");
  await t.advance(1500);
  assert.equal(n, 1);
  assert(now > 0);
  const thrown = await assert.rejects(t.invoke("loose"), "no-name");
  await assert.rejects(() => { throw new AssertionError("x"); }, AssertionError);
  assert.match(String(thrown), /no-name/);
  // @ts-expect-error the argument lacks sku
  await t.call("counter", "a", "typed", {});
});
