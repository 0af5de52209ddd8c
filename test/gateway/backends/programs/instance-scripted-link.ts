// A server for tests of instances: a link in memory, whose answers the test scripts.
import type {
  LinkEvents,
  LinkFailure,
  OpenLink,
} from "../../../../src/gateway/backends/links/backend-link.ts";
import type { JsonObject, Reply, RpcId, RpcMessage, RpcRequest } from "../../../../src/gateway/json-rpc.ts";

/** null: no answer, until the test gives one. */
export type Answer = (request: RpcRequest) => Reply | LinkFailure | null;

export interface ScriptedLink {
  /** Null: as over HTTP. */
  pid: number | null;
  readonly open: OpenLink;
  /** All that the instance sent, in order. */
  readonly received: readonly RpcMessage[];
  /** By method; what is not here is answered with -32601. */
  readonly answers: Map<string, Answer>;
  /** It answers that method with this result from now on. */
  gives(method: string, result: JsonObject): void;
  refuses(method: string, message: string, code?: number): void;
  /** It answers that method when the test says so. */
  hangs(method: string): void;
  /** Answers the newest request of that method. */
  answerTo(method: string, reply: Reply): void;
  readonly established: readonly string[];
  readonly closed: boolean;
  /** The server says something. */
  say(message: unknown, streamOf?: RpcId | null): Promise<void> | null;
  notify(method: string, params?: JsonObject, streamOf?: RpcId | null): Promise<void> | null;
  ask(id: RpcId, method: string, params?: JsonObject, streamOf?: RpcId | null): void;
  answer(id: RpcId, reply: Reply): void;
  failRequest(id: RpcId, failure: LinkFailure): void;
  doubt(): void;
  gap(): void;
  die(failure: LinkFailure): void;
  log(line: string): void;
  requests(method: string): readonly RpcRequest[];
  /** The params of the notifications of that method. */
  told(method: string): readonly (JsonObject | undefined)[];
  /** How the instance answered the server's request. */
  replyTo(id: RpcId): Reply | null;
}

export const INITIALIZED: Reply = {
  result: {
    protocolVersion: "2025-11-25",
    capabilities: {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
    },
    serverInfo: { name: "scripted", version: "1.2.3" },
  },
};

export const FAILURE = (kind: LinkFailure["kind"], message = "as scripted"): LinkFailure => ({
  kind,
  message,
  hint: null,
});

export function createScriptedLink(): ScriptedLink {
  const received: RpcMessage[] = [];
  const established: string[] = [];
  let closed = false;
  let events: LinkEvents | null = null;
  const live = (): LinkEvents => {
    if (events === null) throw new Error("the link is not open yet");
    return events;
  };
  const answers = new Map<string, Answer>([
    ["initialize", () => INITIALIZED],
    ["ping", () => ({ result: {} })],
    ["tools/list", () => ({ result: { tools: [toolOf("one")] } })],
    ["resources/list", () => ({ result: { resources: [{ uri: "a://1", name: "1" }] } })],
    ["resources/templates/list", () => ({ result: { resourceTemplates: [] } })],
    ["prompts/list", () => ({ result: { prompts: [] } })],
    ["logging/setLevel", () => ({ result: {} })],
    ["resources/subscribe", () => ({ result: {} })],
    ["resources/unsubscribe", () => ({ result: {} })],
    ["tools/call", () => null],
  ]);
  const link: ScriptedLink = {
    pid: 4711,
    open(opened) {
      events = opened;
      return {
        get pid() {
          return link.pid;
        },
        backlogBytes: 0,
        send(message) {
          received.push(message);
          if (!("method" in message) || !("id" in message)) return;
          const answer = answers.get(message.method);
          const given = answer ? answer(message) : { error: { code: -32601, message: "no such method" } };
          if (given === null) return;
          queueMicrotask(() => {
            if (closed) return;
            if ("kind" in given) opened.onRequestFailed(message.id, given);
            else opened.onMessage({ jsonrpc: "2.0", id: message.id, ...given }, null);
          });
        },
        established: (version) => void established.push(version),
        async close() {
          closed = true;
        },
      };
    },
    received,
    answers,
    gives: (method, result) => void answers.set(method, () => ({ result: structuredClone(result) })),
    refuses: (method, message, code = -32603) =>
      void answers.set(method, () => ({ error: { code, message } })),
    hangs: (method) => void answers.set(method, () => null),
    answerTo: (method, reply) => link.answer(link.requests(method).at(-1)?.id ?? -1, reply),
    established,
    get closed() {
      return closed;
    },
    say: (message, streamOf = null) => live().onMessage(message, streamOf),
    notify: (method, params, streamOf = null) =>
      live().onMessage({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) }, streamOf),
    ask(id, method, params, streamOf = null) {
      live().onMessage({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) }, streamOf);
    },
    answer: (id, reply) => void live().onMessage({ jsonrpc: "2.0", id, ...reply }, null),
    failRequest: (id, failure) => live().onRequestFailed(id, failure),
    doubt: () => live().onDoubt(),
    gap: () => live().onGap(),
    die: (failure) => live().onClosed(failure),
    log: (line) => live().onLogLine(line),
    requests: (method) =>
      received.filter(
        (message): message is RpcRequest =>
          "method" in message && "id" in message && message.method === method,
      ),
    told: (method) =>
      received.flatMap((message) =>
        "method" in message && !("id" in message) && message.method === method ? [message.params] : [],
      ),
    replyTo(id) {
      for (const message of received) {
        if (!("method" in message) && message.id === id) {
          return "error" in message ? { error: message.error } : { result: message.result };
        }
      }
      return null;
    },
  };
  return link;
}

/** A sound tool. */
export function toolOf(name: string): JsonObject {
  return { name, inputSchema: { type: "object" } };
}
