// The worker and the Durable Object of the comparison, written as their documentation advises: RPC
// methods, SQLite-backed storage, and writes that are not awaited, because the output gate holds the
// reply until they are durable.
import { DurableObject } from "cloudflare:workers";

const KIB = new Uint8Array(1024).fill(0x78);

export class Counter extends DurableObject {
  async increment() {
    const n = ((await this.ctx.storage.get("n")) ?? 0) + 1;
    this.ctx.storage.put("n", n);
    return n;
  }

  echo(bytes) {
    return bytes;
  }

  ping() {
    return "pong";
  }
}

// The same, but never evicted: to see what a live object takes.
export class Pinned extends Counter {}

export default {
  // Paths: /hello, /increment/KEY, /ping/KEY, /pinned/KEY, /relay/KEY/COUNT
  async fetch(request, env) {
    const [, what, key, count] = new URL(request.url).pathname.split("/");
    if (what === "hello") return new Response('"hello"');
    const objects = what === "pinned" ? env.PINNED : env.COUNTER;
    const object = objects.get(objects.idFromName(key));
    switch (what) {
      case "increment":
        return Response.json({ n: await object.increment() });
      case "ping":
      case "pinned":
        return new Response(await object.ping());
      case "relay":
        for (let left = Number(count); left > 0; left--) await object.echo(KIB);
        return new Response("null");
    }
    return new Response("unknown", { status: 404 });
  },
};
