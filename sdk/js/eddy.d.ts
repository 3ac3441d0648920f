/**
 * What a program imports from "eddy". The module itself is built into the node; these are its types.
 *
 * ```ts
 * import { agent, fn, query } from "eddy";
 * export const counter = agent({
 *   increment(ctx, { by = 1 } = {}) { const n = (ctx.state.get("n") ?? 0) + by; ctx.state.set("n", n); return { n }; },
 *   value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
 * });
 * export const greet = fn((ctx, { name }) => `Hello, ${name}!`);
 * ```
 *
 * The names of the entry module's exports are the names of functions and agent types.
 *
 * Of the web's globals there are: `console`, timers, `TextEncoder`, `TextDecoder` (UTF-8 only: another label is a
 * `RangeError`), `URL`, `URLSearchParams`, `fetch`, `Headers`, `Request`, `Response` (whole bodies, no streams),
 * `AbortController`, `AbortSignal`, `DOMException`, `structuredClone`, `performance.now`, `crypto.getRandomValues` and
 * `crypto.randomUUID`. `self` is `globalThis`, as in a worker. There is no `Intl`. The types that an editor knows of them may promise more.
 */

/** Bytes that state keeps as they are. Reading gives a `Uint8Array`. */
export type Bytes = Uint8Array | ArrayBuffer | ArrayBufferView;

/**
 * What a message carries: anything that `JSON.stringify` takes. JSON has no `undefined`: an argument of `undefined`
 * or `null` (over HTTP also an empty body) arrives as `undefined`, so that default parameters apply, and a result of
 * `undefined` arrives as `null`. Inside objects and arrays it is as `JSON.stringify` has it.
 */
export type Payload = unknown;

/** An agent's own durable state. Reads come from the node, key by key; writes commit with the turn. */
export interface State {
  /** The value under `key`; `undefined` when there is none. */
  get<T = any>(key: string): T | undefined;
  /** Writes any JSON value, or bytes. Throws `write-in-query` in a query. */
  set(key: string, value: unknown): void;
  /** Removes `key`; says whether it was there. */
  delete(key: string): boolean;
  /** Entries whose key starts with `prefix`, in byte order of their keys: at most `limit`, at most 1000. */
  list<T = any>(prefix?: string, options?: ListOptions): [key: string, value: T][];
}

/** Which part of a listing. */
export interface ListOptions {
  /** Only keys after this one: the last key of the page before. */
  after?: string;
  /** At most so many entries. 1000 is the most, and the default. */
  limit?: number;
}

/** Writes lines to the invocation's log. Objects are shown as JSON, errors with their stack. */
export interface Log {
  (...values: unknown[]): void;
  trace(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/**
 * Agent types and functions that `call`, `send` and `invoke` then know by name. Optional; fill it in
 * with the types of your own exports:
 *
 * ```ts
 * declare module "eddy" {
 *   interface Agents { counter: typeof counter }
 *   interface Functions { greet: typeof greet }
 * }
 * ```
 */
export interface Agents {}
/** See {@link Agents}. */
export interface Functions {}

/** Names of the agent's methods. */
export type MethodName<A> = keyof A & string;
/** What a handler takes besides its context. */
export type Argument<H> = H extends (ctx: any, argument: infer T, ...rest: any[]) => any ? T : undefined;
/** What awaiting a handler gives. */
export type Result<H> = H extends (...all: any[]) => infer R ? Awaited<R> : unknown;
/** The argument as a parameter: left out when the handler takes none or has a default. */
export type ArgumentList<H> = undefined extends Argument<H> ? [argument?: Argument<H>] : [argument: Argument<H>];

type Unknown<Name extends string, Known> = Name extends keyof Known ? never : Name;

/** What `fetch` looks at. Redirects are always followed, so there is no `redirect`: it would be ignored. */
export interface FetchInit {
  /** `GET` unless given. */
  method?: string;
  headers?: HeadersInit;
  /** Sent as a whole; `GET` and `HEAD` have none. */
  body?: string | URLSearchParams | Bytes | null;
  /** Gives the request up. */
  signal?: AbortSignal | null;
}

/** What `fetch` gives: the last answer, after redirects, with its whole body. */
export interface FetchResponse {
  readonly status: number;
  /** Whether the status is from 200 to 299. */
  readonly ok: boolean;
  readonly headers: Headers;
  /** The URL that was asked for. Whether and where a redirect led is not told. */
  readonly url: string;
  /** A body is read once. */
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
  /** Another one with the same body; before the body is read. */
  clone(): FetchResponse;
}

/** What a function's handler gets, good until the handler returns. */
export interface FunctionContext {
  /** Milliseconds since 1970 when the turn began; the same all through it. */
  readonly now: number;
  /** The invocation's id. */
  readonly invocation: string;
  readonly log: Log;
  /** A random number in [0, 1), from the node. */
  random(): number;
  /** A variable of the app's environment. */
  env(name: string): string | undefined;
  /**
   * Calls an agent's method and waits for its reply. What it did stays done even if this turn fails
   * afterwards: for money and stock prefer `send`.
   */
  call<T extends keyof Agents, M extends MethodName<Agents[T]>>(
    type: T, key: string, method: M, ...argument: ArgumentList<Agents[T][M]>
  ): Promise<Result<Agents[T][M]>>;
  call<R = any, T extends string = string>(
    type: Unknown<T, Agents>, key: string, method: string, argument?: Payload,
  ): Promise<R>;
  /** Invokes a function and waits for its result. */
  invoke<F extends keyof Functions>(name: F, ...argument: ArgumentList<Functions[F]>): Promise<Result<Functions[F]>>;
  invoke<R = any, F extends string = string>(name: Unknown<F, Functions>, argument?: Payload): Promise<R>;
  /** Sends a one-way message: it leaves when the turn commits, and takes effect exactly once. */
  send<T extends keyof Agents, M extends MethodName<Agents[T]>>(
    type: T, key: string, method: M, ...argument: ArgumentList<Agents[T][M]>
  ): void;
  send<T extends string = string>(type: Unknown<T, Agents>, key: string, method: string, argument?: Payload): void;
  /**
   * An HTTP request, to hosts that the manifest allows. The global `fetch` is the same. Up to 10 redirects are
   * followed, within the allowed hosts; one that leads elsewhere, or one more, is an error. A body that comes back is
   * at most 8 MiB.
   */
  fetch(input: string | URL | Request, init?: FetchInit): Promise<FetchResponse>;
}

/** What an agent's method gets, good until the method returns. */
export interface AgentContext extends FunctionContext {
  /** The agent's own address. */
  readonly self: { readonly type: string; readonly key: string };
  readonly state: State;
  /**
   * Sends `method` to this agent after so many milliseconds: a durable timer, set when the turn
   * commits. A timer of the same name is replaced; the name is the method's unless given.
   */
  after(milliseconds: number, method: string, argument?: Payload, options?: { name?: string }): void;
  /** Cancels the timer of that name; says whether it was set. */
  cancel(name: string): boolean;
}

/** A method of an agent, or a function's handler. It may return a promise. */
export type Handler<Context, Arg = any, R = unknown> = (ctx: Context, argument: Arg) => R;

/** A method that only reads. */
export type Query<Arg = any, R = unknown> = Handler<AgentContext, Arg, R> & { readonly [queryMark]: true };
declare const queryMark: unique symbol;

/** The methods of an agent type, by name. */
export type Methods = Record<string, Handler<AgentContext>>;

/** Defines an agent type: export it under its name. `this` in a method is the object of methods. */
export function agent<M extends Methods>(methods: M & ThisType<M>): Readonly<M>;

/** Defines a function: export it under its name. */
export function fn<Arg = any, R = unknown>(handler: Handler<FunctionContext, Arg, R>): Handler<FunctionContext, Arg, R>;

/** Marks a method as read-only: it needs no commit, and a write in it throws `write-in-query`. */
export function query<Arg = any, R = unknown>(method: Handler<AgentContext, Arg, R>): Query<Arg, R>;

/**
 * An error with a code: thrown by the node (`deadline-exceeded`, `capability-denied`, ...) and by programs that want
 * their callers to see one. The error of an agent or function that was called has the code `guest-error` and its own
 * status; its own code and details are in `details`, as `{ name, details }`.
 */
export class EddyError extends Error {
  constructor(code: string, message?: string, options?: { status?: number; details?: unknown; cause?: unknown });
  /** The stable code, also the error's name. */
  readonly code: string;
  /** The HTTP status it asks for, 400 to 599. */
  readonly status?: number;
  /** More about it: any JSON value. */
  readonly details?: any;
}
