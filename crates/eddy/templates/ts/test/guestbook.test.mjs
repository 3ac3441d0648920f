// Tests against a running node: start `eddy dev` in another terminal, then `npm test` (Node.js 20 or newer).

import assert from "node:assert/strict";
import test from "node:test";

const url = process.env.EDDY_URL || "http://127.0.0.1:7400";

async function post(path, argument) {
  const response = await fetch(`${url}/v1/${path}`, { method: "POST", body: JSON.stringify(argument) });
  return { status: response.status, body: await response.json() };
}

// A book of this run's own: what an agent keeps outlives the test.
const book = `agents/guestbook/test-${crypto.randomUUID()}`;

test("an entry is there after it was signed", async () => {
  assert.deepEqual((await post(`${book}/sign`, { name: "Ada", text: "first" })).body, { entries: 1 });
  const { body } = await post(`${book}/entries`, null);
  assert.deepEqual(body.map(({ name, text }) => ({ name, text })), [{ name: "Ada", text: "first" }]);
});

test("an entry without a text is refused and changes nothing", async () => {
  const before = await post(`${book}/entries`, null);
  const refused = await post(`${book}/sign`, { name: "Bob", text: "" });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.guest.name, "empty-entry");
  assert.deepEqual(await post(`${book}/entries`, null), before);
});

test("a function answers", async () => {
  assert.equal((await post("functions/greet", { name: "Ada" })).body, "Hello, Ada!");
});
