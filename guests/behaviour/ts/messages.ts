// Sends, timers, and globals that go when a turn is discarded.

import { agent, EddyError, query, type AgentContext } from "eddy";

interface Note {
  note: string;
}

let word: string | null = null;

function add(ctx: AgentContext, { note }: Note) {
  ctx.state.set("notes", [...(ctx.state.get<string[]>("notes") ?? []), note]);
}

function changedMind(): never {
  throw new EddyError("changed-mind", "nothing of this turn is to stay");
}

export const inbox = agent({
  receive(ctx, note: Note) {
    add(ctx, note);
  },

  received: query((ctx) => ctx.state.get("notes") ?? []),

  pass_on(ctx, { to, notes }: { to: string; notes: string[] }) {
    for (const note of notes) ctx.send("inbox", to, "receive", { note });
  },

  pass_on_then_fail(ctx, { to, notes }: { to: string; notes: string[] }) {
    for (const note of notes) ctx.send("inbox", to, "receive", { note });
    changedMind();
  },
});

export const alarm = agent({
  arm(ctx, { ms, note, name }: Note & { ms: number; name?: string }) {
    ctx.after(ms, "ring", { note }, { name });
  },

  arm_twice(ctx, { ms, first, second }: { ms: number; first: string; second: string }) {
    ctx.after(ms, "ring", { note: first }, { name: "twice" });
    ctx.after(ms, "ring", { note: second }, { name: "twice" });
  },

  arm_then_fail(ctx, { ms, note }: Note & { ms: number }) {
    ctx.after(ms, "ring", { note });
    changedMind();
  },

  disarm(ctx, name: string) {
    return ctx.cancel(name);
  },

  ring(ctx, note: Note) {
    add(ctx, note);
  },

  rung: query((ctx) => ctx.state.get("notes") ?? []),
});

export const cache = agent({
  remember(ctx, { word: given }: { word: string }) {
    word = given;
  },

  remembered: query(() => word),

  remember_then_fail(ctx, { word: given }: { word: string }) {
    word = given;
    ctx.state.set("word", given);
    changedMind();
  },
});
