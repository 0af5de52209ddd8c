// A receiver of a link's events that keeps all of them, for tests to look at and wait for.
import type {
  OpenTransport,
  ServerQuirk,
  TransportEvents,
  TransportFailure,
} from "../../../../src/gateway/backends/transports/backend-transport.ts";
import type { JsonObject, RpcId } from "../../../../src/gateway/json-rpc.ts";
import { isJsonObject } from "../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../support/eventually.ts";

export interface Received {
  readonly message: unknown;
  readonly streamOf: RpcId | null;
}

export type RecordedLink = ReturnType<typeof openRecorded>;

export function openRecorded(open: OpenTransport) {
  const received: Received[] = [];
  const failed = new Map<RpcId, TransportFailure>();
  const closed: TransportFailure[] = [];
  const logLines: string[] = [];
  const oddities: ServerQuirk[] = [];
  let suspects = 0;
  let gaps = 0;
  let lastId = 0;
  let isOpened = false;
  const events: TransportEvents = {
    onMessage(message, streamOf) {
      if (!isOpened) throw new Error("called back synchronously");
      received.push({ message, streamOf });
      return recorded.hold(message);
    },
    onRequestFailed(id, failure) {
      if (closed.length > 0) throw new Error("a call after onClosed");
      failed.set(id, failure);
    },
    onSuspect() {
      if (closed.length > 0) throw new Error("a call after onClosed");
      suspects += 1;
    },
    onGap() {
      if (closed.length > 0) throw new Error("a call after onClosed");
      gaps += 1;
    },
    onClosed(failure) {
      if (!isOpened) throw new Error("called back synchronously");
      closed.push(failure);
    },
    onRetryAfter: (ms) => void recorded.waits.push(ms),
    onQuirk: (oddity) => void oddities.push(oddity),
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
  const recorded = {
    link,
    received,
    failed,
    /** How long the server wants no further request, ms. */
    waits: [] as number[],
    get suspects() {
      return suspects;
    },
    get gaps() {
      return gaps;
    },
    closed,
    logLines,
    oddities,
    /** What `onMessage` returns, asked for each message. */
    hold: (_message: unknown): Promise<void> | null => null,
    /** Sends a request and waits for its result. */
    async ask(method: string, params: JsonObject = {}): Promise<JsonObject> {
      const id = send(method, params);
      return await eventually(() => {
        const failure = failed.get(id) ?? closed[0];
        return answer(id) ?? (failure === undefined ? null : Promise.reject(new Error(failure.message)));
      });
    },
    /** Sends a request and waits for its failure. */
    async askInVain(method: string, params: JsonObject = {}): Promise<TransportFailure> {
      const id = send(method, params);
      return await eventually(() => failed.get(id));
    },
    /** initialize, established, notifications/initialized. */
    async initialize(): Promise<JsonObject> {
      const result = await recorded.ask("initialize", { protocolVersion: "2025-11-25" });
      link.established("2025-11-25");
      link.send({ jsonrpc: "2.0", method: "notifications/initialized" });
      return result;
    },
    untilClosed: () => eventually(() => closed[0]),
  };
  return recorded;
}
