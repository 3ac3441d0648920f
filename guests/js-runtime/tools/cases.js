import { agent, fn, query, EddyError } from "eddy";
import { twice, boom } from "./lib/math";
// Cases of the probe. `// expect NAME OUTCOME` calls what NAME exports (`// with JSON` gives its
// argument) in one instance, in order. After ` ~ ` come log lines, sends and timers.
// Names that begin with `a_` are methods of `counter/alice`, with `q_` its queries.

let kept, keptLog;
class OutOfStock extends Error { constructor() { super("none left"); this.name = "OutOfStock"; this.status = 409; this.details = { left: 0 }; } }

// expect missing ! unknown-function: no function "missing" is exported
// expect a_missing ! unknown-method: counter has no method "a_missing"
// expect echo {"a":[1,"ü",null]}
// with {"a":[1,"ü",null]}
// expect echo "default"
// with null
// expect echo ! invalid-json: the argument is not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)
// with {
export const echo = fn((ctx, value = "default") => value);
// expect nothing null
export const nothing = fn(() => {});
// expect imported 42
export const imported = fn(() => twice(21));
// expect bigint ! invalid-result: the handler's result is not JSON: BigInt are forbidden in JSON.stringify
export const bigint = fn(() => 1n);
// expect cycle ! invalid-result: the handler's result is not JSON: circular reference
export const cycle = fn(() => { const a = {}; a.a = a; return a; });
// expect func ! invalid-result: the handler returned a function, which JSON cannot hold
export const func = fn(() => () => 1);
// expect thrown ! OutOfStock: none left [409] {"left":0} | at OutOfStock (src/cases.ts:8:50) | at <anonymous> (src/cases.ts:30:44)
export const thrown = fn(() => { throw new OutOfStock(); });
// expect rejected ! Error: later | at <anonymous> (src/cases.ts:32:64)
export const rejected = fn(async () => { await null; throw new Error("later"); });
// expect eddy ! no-go: why [422] {"x":1} | at <anonymous> (src/cases.ts:34:42)
export const eddy = fn(() => { throw new EddyError("no-go", "why", { status: 422, details: { x: 1 } }); });
// expect text ! Error: just text
export const text = fn(() => { throw "just text"; });
// expect library ! TypeError: from the library | at boom (src/lib/math.ts:3:13) | at <anonymous> (src/cases.ts:38:33)
export const library = fn(() => boom());
// expect deep {"name":"RangeError","deep":true}
export const deep = fn(() => { let n = 0; const f = () => { n++; f(); }; try { f(); } catch (e) { return { name: e.name, deep: n > 500 ? true : n }; } });
// expect together {"at":[{"to":"a/1.m","arg":null},{"fn":"f","arg":{"x":1}},201,"timer"],"overlap":true}
export const together = fn(async (ctx) => {
  const start = performance.now();
  const at = await Promise.all([
    ctx.call("a", "1", "m"), ctx.invoke("f", { x: 1 }), fetch("http://x.test").then((r) => r.status),
    new Promise((r) => setTimeout(r, 30, "timer")),
  ]);
  return { at, overlap: performance.now() - start < 120 };
});
// expect caught {"code":"out-of-stock","message":"none left","status":409,"details":{"left":0},"is":true}
export const caught = fn(async (ctx) => {
  try { await ctx.call("a", "1", "fail"); } catch (e) { return { code: e.code, message: e.message, status: e.status, details: e.details, is: e instanceof EddyError }; }
});
// expect escaped ! out-of-stock: none left [409] {"left":0}
export const escaped = fn((ctx) => ctx.call("a", "1", "fail"));
// expect refused ! unknown-agent-type: there is no agent type nobody | at <anonymous> (src/cases.ts:57:54)
export const refused = fn(async (ctx) => { await ctx.call("nobody", "1", "m"); });
// expect denied "capability-denied"
export const denied = fn(async (ctx) => { try { await ctx.fetch("http://denied.test"); } catch (e) { return e.code; } });
// expect fetched {"ok":true,"status":201,"type":"text/plain","text":"POST http://x.test/a?b=c [(\"a-b\", \"1\"), (\"content-type\", \"text/plain;charset=UTF-8\")]","used":true}
export const fetched = fn(async (ctx) => {
  const r = await ctx.fetch(new URL("/a?b=c", "http://x.test"), { method: "post", headers: { "A-b": "1" }, body: "hi" });
  return { ok: r.ok, status: r.status, type: r.headers.get("Content-Type"), text: await r.text(), used: r.bodyUsed };
});
// expect aborted "TimeoutError"
export const aborted = fn(async () => { try { await fetch("http://x.test", { signal: AbortSignal.timeout(5) }); } catch (e) { return e.name; } });

// expect stalled ! handler-stalled: the handler waits for a promise that nothing can settle
export const stalled = fn(() => new Promise(() => {}));
// expect dropped 1
export const dropped = fn(async (ctx) => { ctx.call("a", "1", "m"); setInterval(() => {}, 1000); await null; return 1; });
// expect keep 1
export const keep = fn((ctx) => { kept = ctx; keptLog = ctx.log; return 1; });
// expect closed ["context-closed","context-closed","context-closed"]
export const closed = fn(() => [() => kept.call("a", "1", "m"), () => kept.now, () => keptLog("x")].map((f) => { try { f(); } catch (e) { return e.code; } }));
// expect late 1 ~ warn Unhandled rejection: context-closed: this context was used after its handler had returned: await everything it starts\n    at <anonymous> (src/cases.ts:77:66)
export const late = fn((ctx) => { (async () => { await null; ctx.send("a", "1", "m"); })(); return 1; });
// expect unhandled 1 ~ warn Unhandled rejection: Error: nobody\n    at <anonymous> (src/cases.ts:79:56)
export const unhandled = fn(() => { Promise.reject(new Error("nobody")); return 1; });
// expect handledLater 1
export const handledLater = fn(async () => { const p = Promise.reject(new Error("x")); await null; await p.catch(() => {}); return 1; });
// expect endless 1
export const endless = fn(() => { (async () => { for (let i = 0; i < 20000; i++) await null; })(); return 1; });
// expect afterEndless 2
export const afterEndless = fn(async () => { await null; return 2; });
// expect inTimer ! handler-stalled: the handler waits for a promise that nothing can settle ~ error Uncaught in a timer: Error: tick at <anonymous> (src/cases.ts:87:80)
export const inTimer = fn(() => new Promise(() => setTimeout(() => { throw new Error("tick"); }, 1)));
// expect order "abc"
export const order = fn(async () => {
  let s = "";
  setTimeout(() => (s += "b"), 10); setTimeout(() => (s += "a"), 5);
  const gone = setTimeout(() => (s += "x"), 7); clearTimeout(gone);
  const end = performance.now() + 20; while (performance.now() < end);
  await new Promise((r) => setTimeout(r, 15)); return s + "c";
});
// expect interval 3
export const interval = fn(() => new Promise((r) => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); r(n); } }, 1); }));

// expect logs null ~ info hello {"a":1} 2 null undefined ~ warn w ~ debug d ~ info c [1,2] ~ error Error: bad\n    at <anonymous> (src/cases.ts:100:166)
export const logs = fn((ctx) => { ctx.log("hello", { a: 1 }, 2, null, undefined); ctx.log.warn("w"); ctx.log.debug("d"); console.log("c", [1, 2]); console.error(new Error("bad")); });
// expect context {"now":1700000000000,"random":0.5,"invocation":"inv_1","env":["north",null],"state":"undefined"}
export const context = fn((ctx) => ({ now: ctx.now, random: ctx.random(), invocation: ctx.invocation, env: [ctx.env("REGION"), ctx.env("NO") ?? null], state: typeof ctx.state }));

export const counter = agent({
  // expect a_set {"v":{"x":[1]},"b":[1,2,255],"n":false,"gone":[true,false],"self":"counter/alice"}
  a_set(ctx) {
    const { state } = ctx;
    state.set("v", { x: [1] }); state.set("b", new Uint8Array([1, 2, 255])); state.set("d", 1);
    return { v: state.get("v"), b: [...state.get("b")], n: state.get("nope") !== undefined, gone: [state.delete("d"), state.delete("d")], self: `${ctx.self.type}/${ctx.self.key}` };
  },
  // expect a_list [["b","bytes"],["v",{"x":[1]}]]
  a_list: (ctx) => ctx.state.list().map(([k, v]) => [k, v instanceof Uint8Array ? "bytes" : v]),
  // expect a_page [["p2",2],["p3",3]]
  a_page(ctx) { for (let i = 0; i < 6; i++) ctx.state.set(`p${i}`, i); return ctx.state.list("p", { after: "p1", limit: 2 }); },
  // expect a_floats [4,"Uint8Array"]
  a_floats(ctx) { ctx.state.set("f", new Float32Array([1])); const f = ctx.state.get("f"); return [f.length, f.constructor.name]; },
  // expect a_out true ~ send stock/x.take {"n":1} ~ timer tick 1000 tick null ~ timer t 2 tick {"a":1} ~ cancel t
  a_out(ctx) { ctx.send("stock", "x", "take", { n: 1 }); ctx.after(1000, "tick"); ctx.after(1.5, "tick", { a: 1 }, { name: "t" }); return ctx.cancel("t"); },
  // expect a_this 3
  a_this() { return this.helper(); },
  helper: () => 3,
  // expect a_bad ["the key must be a string, not number","state cannot hold undefined: use delete","the delay must be a number of milliseconds, not NaN","BigInt are forbidden in JSON.stringify"]
  a_bad(ctx) { return [() => ctx.state.get(1), () => ctx.state.set("a", undefined), () => ctx.after(NaN, "m"), () => ctx.state.set("a", 1n)].map((f) => { try { f(); } catch (e) { return e.message; } }); },
  // expect q_write ! write-in-query: a query cannot write | at q_write (src/cases.ts:125:52)
  q_write: query(function q_write(ctx) { ctx.state.set("a", 1); }),
  // expect q_read {"x":[1]}
  q_read: query((ctx) => ctx.state.get("v")),
  // expect a_limit ["limit must be a number of entries, 0 or more, not bigint","limit must be a number of entries, 0 or more, not string","limit must be a number of entries, 0 or more, not -1"]
  a_limit(ctx) { return [1n, "2", -1].map((limit) => { try { ctx.state.list("", { limit }); } catch (e) { return e.message; } }); },
});

// expect encodings ["ü€😀",[195,188],"�","aGk=","hi",10,36]
export const encodings = fn(() => {
  const d = new TextDecoder(); const e = new TextEncoder().encode("ü€😀");
  let s = ""; for (const b of e) s += d.decode(new Uint8Array([b]), { stream: true }); s += d.decode();
  return [s, [...new TextEncoder().encode("ü")], new TextDecoder().decode(new Uint8Array([255])), btoa("hi"), atob("aGk="), crypto.getRandomValues(new Uint8Array(10)).length, crypto.randomUUID().length];
});
// expect urls ["https://u:p@x.test:8080/b?q=1&r=%C3%BC#h","u","8080","/b","1",["q","r"],"https://x.test/?a=1&b=2+3","xn--bcher-kva.test",false,"?z=9"]
export const urls = fn(() => {
  const u = new URL("../b?q=1&r=ü#h", "https://u:p@x.test:8080/a/c");
  const v = new URL("https://x.test"); v.searchParams.set("a", "1"); v.searchParams.append("b", "2 3");
  const w = new URL("https://x.test/?a=1"); w.search = "z=9";
  return [u.href, u.username, u.port, u.pathname, u.searchParams.get("q"), [...u.searchParams.keys()], String(v), new URL("http://bücher.test").host, URL.canParse("nope"), `?${w.searchParams}`];
});
// expect clones {"same":false,"loop":true,"date":"2020-01-01T00:00:00.000Z","map":[[1,2]],"bytes":[1],"fails":"DataCloneError"}
export const clones = fn(() => {
  const a = { d: new Date("2020-01-01"), m: new Map([[1, 2]]), b: new Uint8Array([1]) }; a.self = a;
  const c = structuredClone(a); let fails; try { structuredClone(() => 1); } catch (e) { fails = e.name; }
  return { same: c === a, loop: c.self === c, date: c.d.toISOString(), map: [...c.m], bytes: [...c.b], fails };
});
// expect clock [true,true,0]
export const clock = fn(() => [Date.now() > 1.7e12, Math.random() !== Math.random(), new Date().getTimezoneOffset()]);
// expect tampered {"n":1}
export const tampered = fn((ctx) => { JSON.stringify = () => "x"; Reflect.apply = null; Promise.prototype.then = null; globalThis.__host = 1; return { n: 1 }; });
// expect afterTampering {"to":"a/1.m","arg":{"q":1}}
export const afterTampering = fn(async (ctx) => await ctx.call("a", "1", "m", { q: 1 }));
// expect refusals ["RangeError: TextDecoder knows utf-8 only, not latin1: decode such bytes one by one, with String.fromCharCode","TypeMismatchError: getRandomValues fills arrays of integers, not Float64Array","TypeMismatchError: getRandomValues fills arrays of integers, not DataView","DataCloneError: structuredClone transfers nothing here: leave out `transfer`, and the value is copied"]
export const refusals = fn(() => [
  () => new TextDecoder("latin1"), () => crypto.getRandomValues(new Float64Array(1)), () => crypto.getRandomValues(new DataView(new ArrayBuffer(8))),
  () => structuredClone({}, { transfer: [new ArrayBuffer(1)] }),
].map((f) => { try { f(); } catch (e) { return `${e.name}: ${e.message}`; } }));
// expect consoles null ~ info a: 1 ~ info a: 2 ~ info g ~ info   in\n  deep ~ info out ~ warn Timer "none" does not exist
export const consoles = fn(() => { console.count("a"); console.count("a"); console.group("g"); console.log("in\ndeep"); console.groupEnd(); console.log("out"); console.timeEnd("none"); });
