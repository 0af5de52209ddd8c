// A receiver of a link's events that keeps all of them, for tests to look at and wait for.
import type {
  BackendLink,
  LinkEvents,
  LinkFailure,
  OpenLink,
} from "../../../../src/gateway/backends/links/backend-link.ts";
import type { JsonObject, RpcId } from "../../../../src/gateway/json-rpc.ts";
import { isJsonObject } from "../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../support/eventually.ts";

export interface Received {
  readonly message: unknown;
  readonly streamOf: RpcId | null;
}

export interface RecordedLink {
  readonly link: BackendLink;
  readonly received: readonly Received[];
  readonly failed: ReadonlyMap<RpcId, LinkFailure>;
  readonly doubts: number;
  readonly gaps: number;
  readonly closed: readonly LinkFailure[];
  readonly logLines: readonly string[];
  /** What `onMessage` returns, asked for each message. */
  hold: (message: unknown) => Promise<void> | null;
  /** Sends a request and waits for its result. */
  ask(method: string, params?: JsonObject): Promise<JsonObject>;
  /** Sends a request and waits for its failure. */
  askInVain(method: string, params?: JsonObject): Promise<LinkFailure>;
  /** initialize, established, notifications/initialized. */
  initialize(): Promise<JsonObject>;
  untilClosed(): Promise<LinkFailure>;
}

export function openRecorded(open: OpenLink): RecordedLink {
  const received: Received[] = [];
  const failed = new Map<RpcId, LinkFailure>();
  const closed: LinkFailure[] = [];
  const logLines: string[] = [];
  let doubts = 0;
  let gaps = 0;
  let lastId = 0;
  let isOpened = false;
  const events: LinkEvents = {
    onMessage(message, streamOf) {
      if (!isOpened) throw new Error("called back synchronously");
      received.push({ message, streamOf });
      return recorded.hold(message);
    },
    onRequestFailed(id, failure) {
      if (closed.length > 0) throw new Error("a call after onClosed");
      failed.set(id, failure);
    },
    onDoubt() {
      if (closed.length > 0) throw new Error("a call after onClosed");
      doubts += 1;
    },
    onGap() {
      if (closed.length > 0) throw new Error("a call after onClosed");
      gaps += 1;
    },
    onClosed(failure) {
      if (!isOpened) throw new Error("called back synchronously");
      closed.push(failure);
    },
    onLogLine(line) {
      if (closed.length > 0) throw new Error("a call after onClosed");
      logLines.push(line);
    },
  };
  const link = open(events);
  isOpened = true;
  const send = (method: string, params: JsonObject): number => {
    lastId += 1;
    link.send({ jsonrpc: "2.0", id: lastId, method, params });
    return lastId;
  };
  const answer = (id: RpcId): JsonObject | null => {
    for (const { message } of received) {
      if (isJsonObject(message) && message["id"] === id && isJsonObject(message["result"])) {
        return message["result"];
      }
    }
    return null;
  };
  const recorded: RecordedLink = {
    link,
    received,
    failed,
    get doubts() {
      return doubts;
    },
    get gaps() {
      return gaps;
    },
    closed,
    logLines,
    hold: () => null,
    async ask(method, params = {}) {
      const id = send(method, params);
      return await eventually(() => {
        const failure = failed.get(id) ?? closed[0];
        return answer(id) ?? (failure === undefined ? null : Promise.reject(new Error(failure.message)));
      });
    },
    async askInVain(method, params = {}) {
      const id = send(method, params);
      return await eventually(() => failed.get(id));
    },
    async initialize() {
      const result = await recorded.ask("initialize", { protocolVersion: "2025-11-25" });
      link.established("2025-11-25");
      link.send({ jsonrpc: "2.0", method: "notifications/initialized" });
      return result;
    },
    untilClosed: () => eventually(() => closed[0]),
  };
  return recorded;
}
