// The handlers of the comparison: a virtual object with a durable counter. It runs from the folder
// into which the SDK was installed; its port is the first argument.
import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

const counter = restate.object({
  name: "Counter",
  handlers: {
    increment: async (ctx) => {
      const n = ((await ctx.get("n")) ?? 0) + 1;
      ctx.set("n", n);
      return { n };
    },
  },
});

const handler = restate.createEndpointHandler({ services: [counter] });
http2.createServer(handler).listen(Number(process.argv[2]), "127.0.0.1");
