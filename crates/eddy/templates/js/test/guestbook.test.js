// `eddy test` runs this beside the app, on a node whose clock it can put forward.

import { assert, test } from "eddy/test";

test("an entry is there after it was signed", async (t) => {
  assert.equal(await t.call("guestbook", "main", "sign", { name: "Ada", text: "first" }), { entries: 1 });
  const entries = await t.call("guestbook", "main", "entries");
  assert.equal(entries.map((/** @type {{ name: string, text: string }} */ { name, text }) => ({ name, text })), [{ name: "Ada", text: "first" }]);
});

test("an entry without a text is refused and changes nothing", async (t) => {
  await assert.rejects(t.call("guestbook", "main", "sign", { name: "Bob", text: "" }), "empty-entry");
  assert.equal(await t.call("guestbook", "main", "entries"), []);
});

test("entries know when they were made", async (t) => {
  await t.call("guestbook", "main", "sign", { name: "Ada", text: "today" });
  await t.advance("1day");
  await t.call("guestbook", "main", "sign", { name: "Bob", text: "tomorrow" });
  const [first, second] = await t.call("guestbook", "main", "entries");
  assert(second.at - first.at >= 24 * 3600 * 1000);
});

test("a function answers", async (t) => {
  assert.equal(await t.invoke("greet", { name: "Ada" }), "Hello, Ada!");
});
