// Clients for tests of instances: they keep what they are told and asked, and answer when the test says so.
import type { CallSignal } from "../../../../src/gateway/call-signal.ts";
import type { CallHandle, ClientHandle } from "../../../../src/gateway/client-handle.ts";
import { ANONYMOUS } from "../../../../src/gateway/client-handle.ts";
import type { JsonObject, Reply } from "../../../../src/gateway/json-rpc.ts";
import type { McpLogLevel } from "../../../../src/gateway/protocol.ts";

export interface Told {
  readonly method: string;
  readonly params: JsonObject | undefined;
}

export interface Question extends Told {
  readonly signal: CallSignal;
  readonly onProgress: ((params: JsonObject) => void) | undefined;
  answer(reply: Reply): void;
}

export interface QuestionInCall extends Question {
  /** The client breaks off the stream of the call. */
  breakOff(): void;
}

export interface TestClient extends ClientHandle {
  logLevel: McpLogLevel | null;
  /** Outside of any call. */
  readonly told: Told[];
  readonly asked: Question[];
  call(id: string | number): TestCall;
}

export interface TestCall extends CallHandle {
  readonly told: Told[];
  readonly asked: QuestionInCall[];
  congested: Promise<void> | null;
}

export const EVERYTHING: JsonObject = {
  sampling: { tools: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
};

const WITHDRAWN: Reply = { error: { code: -32603, message: "withdrawn" } };

export function createTestClient(name: string, capabilities: JsonObject = EVERYTHING): TestClient {
  const told: Told[] = [];
  const asked: Question[] = [];
  const client: TestClient = {
    sessionId: name,
    principal: ANONYMOUS,
    protocolVersion: "2025-11-25",
    capabilities,
    clientInfo: { name, version: "1" },
    group: null,
    logLevel: null,
    busy: false,
    ended: new AbortController().signal,
    told,
    asked,
    notify: (method, params) => void told.push({ method, params }),
    request: (method, params, signal, onProgress) => {
      const { promise, resolve } = Promise.withResolvers<Reply>();
      signal.addEventListener("abort", () => resolve(WITHDRAWN));
      asked.push({ method, params, signal, onProgress, answer: resolve });
      return promise;
    },
    call(id) {
      const toldInCall: Told[] = [];
      const askedInCall: QuestionInCall[] = [];
      return {
        client,
        id,
        told: toldInCall,
        asked: askedInCall,
        congested: null,
        notify: (method, params) => void toldInCall.push({ method, params }),
        request: (method, params, signal, onProgress) => {
          const { promise, resolve } = Promise.withResolvers<Reply | null>();
          signal.addEventListener("abort", () => resolve(WITHDRAWN));
          const breakOff = (): void => resolve(null);
          askedInCall.push({ method, params, signal, onProgress, answer: resolve, breakOff });
          return promise;
        },
      };
    },
  };
  return client;
}
