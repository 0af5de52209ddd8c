// A server for tests of instances: a link in memory, whose answers the test scripts.
import type {
  BackendTransport,
  TransportEvents,
  TransportFailure,
} from "../../../../src/gateway/backends/transports/backend-transport.ts";
import type { JsonObject, Reply, RpcId, RpcMessage, RpcRequest } from "../../../../src/gateway/json-rpc.ts";

/** null: no answer, until the test gives one. */
export type Answer = (request: RpcRequest) => Reply | TransportFailure | null;

export type ScriptedLink = ReturnType<typeof createScriptedLink>;

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

export const FAILURE = (kind: TransportFailure["kind"], message = "as scripted"): TransportFailure => ({
  kind,
  message,
  hint: null,
});

export function createScriptedLink() {
  const received: RpcMessage[] = [];
  const established: string[] = [];
  let closed = false;
  let events: TransportEvents | null = null;
  const live = (): TransportEvents => {
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
  const link = {
    /** Null: as over HTTP. */
    pid: 4711 as number | null,
    open(opened: TransportEvents): BackendTransport {
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
    /** All that the instance sent, in order. */
    received,
    /** By method; what is not here is answered with -32601. */
    answers,
    /** It answers that method with this result from now on. */
    gives: (method: string, result: JsonObject): void =>
      void answers.set(method, () => ({ result: structuredClone(result) })),
    refuses: (method: string, message: string, code = -32603): void =>
      void answers.set(method, () => ({ error: { code, message } })),
    /** It answers that method when the test says so. */
    hangs: (method: string): void => void answers.set(method, () => null),
    /** Answers the newest request of that method. */
    answerTo: (method: string, reply: Reply): void =>
      link.answer(link.requests(method).at(-1)?.id ?? -1, reply),
    established,
    get closed(): boolean {
      return closed;
    },
    /** The server says something. */
    say: (message: unknown, streamOf: RpcId | null = null): Promise<void> | null =>
      live().onMessage(message, streamOf),
    notify: (method: string, params?: JsonObject, streamOf: RpcId | null = null): Promise<void> | null =>
      live().onMessage({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) }, streamOf),
    ask(id: RpcId, method: string, params?: JsonObject, streamOf: RpcId | null = null): void {
      live().onMessage({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) }, streamOf);
    },
    answer: (id: RpcId, reply: Reply): void => void live().onMessage({ jsonrpc: "2.0", id, ...reply }, null),
    failRequest: (id: RpcId, failure: TransportFailure): void => live().onRequestFailed(id, failure),
    suspect: (): void => live().onSuspect(),
    gap: (): void => live().onGap(),
    retryAfter: (ms: number): void => live().onRetryAfter?.(ms),
    die: (failure: TransportFailure): void => live().onClosed(failure),
    log: (line: string): void => live().onLogLine(line),
    requests: (method: string): RpcRequest[] =>
      received.filter(
        (message): message is RpcRequest =>
          "method" in message && "id" in message && message.method === method,
      ),
    /** The params of the notifications of that method. */
    told: (method: string): (JsonObject | undefined)[] =>
      received.flatMap((message) =>
        "method" in message && !("id" in message) && message.method === method ? [message.params] : [],
      ),
    /** How the instance answered the server's request. */
    replyTo(id: RpcId): Reply | null {
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
