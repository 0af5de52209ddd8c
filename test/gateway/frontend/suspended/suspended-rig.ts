// Modern clients, the front and the suspended calls as they run; only what the chain does is the test's. Each tool call waits for
// the test, which asks, notifies and answers in its place.
import type { Principal } from "../../../../src/gateway/client-handle.ts";
import { ModernFront } from "../../../../src/gateway/frontend/modern/modern-front.ts";
import type { ModernRequest } from "../../../../src/gateway/frontend/modern/request.ts";
import type { CallStream } from "../../../../src/gateway/frontend/session/client-stream.ts";
import { OtherDaemons } from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { GATHER_MS } from "../../../../src/gateway/frontend/suspended/suspended-call.ts";
import {
  type ResumingDaemon,
  SuspendedCalls,
} from "../../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import type { GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { META, MODERN_VERSION } from "../../../../src/gateway/protocol.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

export const EVERYTHING: JsonObject = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {} },
  roots: {},
};

export function user(name: string): Principal {
  return { kind: "user", name, roles: [] };
}

export const ANN = user("ann");
export const BEN = user("ben");

export interface Given {
  readonly principal?: Principal;
  readonly method?: string;
  readonly params?: JsonObject;
  readonly declared?: JsonObject;
  readonly progressToken?: string;
}

/** One request of a client. */
export interface Sent {
  readonly answers: Reply[];
  readonly notices: JsonObject[];
  /** The client closes its connection. */
  close(): void;
}

/** One call as the chain has it. */
export interface Ran {
  readonly request: GatewayRequest;
  reply(reply: Reply): void;
}

export type SuspendedRig = ReturnType<typeof createSuspendedRig>;

export function createSuspendedRig({
  clock = createManualClock(),
  others = new OtherDaemons<ResumingDaemon>(),
  suspended = new SuspendedCalls(clock, others),
} = {}) {
  /** In the order in which they began. */
  const ran: Ran[] = [];
  const gateway = createScriptedGateway();
  gateway.handle = (request) => {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    ran.push({ request, reply: resolve });
    return promise;
  };
  const front = new ModernFront({ gateway, clock, logger: createRecordingLogger(), suspension: suspended });
  let ids = 0;
  const send = (given: Given = {}): Sent => {
    const answers: Reply[] = [];
    const notices: JsonObject[] = [];
    const stream: CallStream = {
      congested: null,
      send(json) {
        notices.push(JSON.parse(json));
        return true;
      },
      answer(_id, reply) {
        if (reply !== null) answers.push(reply);
      },
    };
    const gone = front.serve(requestOf(++ids, given), stream);
    // As HttpExchange has it.
    return { answers, notices, close: () => (answers.length === 0 ? gone() : undefined) };
  };
  return {
    clock,
    others,
    suspended,
    front,
    gateway,
    ran,
    send,
    /** The newest call, begun by a request for the tool `t`. */
    async begin(given?: Given) {
      const sent = send(given);
      await settle();
      const call = ran.at(-1);
      if (call === undefined) throw new Error("no call began");
      return { sent, call };
    },
  };
}

export function requestOf(
  id: number,
  { principal = ANN, method = "tools/call", params = TOOL, declared = EVERYTHING, progressToken }: Given,
): ModernRequest {
  const meta = {
    [META.protocolVersion]: MODERN_VERSION,
    [META.clientCapabilities]: declared,
    ...(progressToken === undefined ? {} : { progressToken }),
  };
  return {
    id,
    method,
    params: { ...params, _meta: meta },
    principal,
    capabilities: declared,
    clientInfo: {},
    group: null,
    folder: null,
    logLevel: null,
    progressToken: progressToken ?? null,
    caller: null,
    trace: null,
  };
}

export const TOOL: JsonObject = { name: "t", arguments: { a: 1, b: { c: [2, "three"] } } };

const FORM: JsonObject = { mode: "form", message: "?", requestedSchema: { type: "object", properties: {} } };

/** Asks for a form within that call; `withdraw` aborts it. */
export function ask(
  { request }: Ran,
  params: JsonObject = FORM,
  method = "elicitation/create",
): { readonly reply: Promise<Reply | null>; withdraw(): void; readonly got: (Reply | null)[] } {
  const abort = new AbortController();
  const got: (Reply | null)[] = [];
  const reply = request.handle.request(method, params, abort.signal);
  void reply.then((one) => got.push(one));
  return { reply, got, withdraw: () => abort.abort(new Error("withdrawn")) };
}

/** What is required of the client by the only answer of that request. */
export function inputRequired({ answers }: Sent) {
  const [reply, ...more] = answers;
  if (reply === undefined || more.length > 0) throw new Error(`${answers.length} answers`);
  if (isError(reply) || reply.result["resultType"] !== "input_required") {
    throw new Error(`no input is required: ${JSON.stringify(reply)}`);
  }
  const { inputRequests, requestState } = reply.result;
  if (!isJsonObject(inputRequests) || typeof requestState !== "string") {
    throw new Error(`neither requests nor state: ${JSON.stringify(reply)}`);
  }
  const requests = inputRequests as Readonly<Record<string, JsonObject>>;
  return { state: requestState, keys: Object.keys(requests), requests };
}

/** The params of a retry. */
export function retryParams(
  requestState: string,
  inputResponses: JsonObject,
  params: JsonObject = TOOL,
): JsonObject {
  return { ...params, requestState, inputResponses };
}

export function accept(content: JsonObject = {}): JsonObject {
  return { action: "accept", content };
}

export function codeOf({ answers }: Sent): number | null {
  const [reply] = answers;
  return reply !== undefined && isError(reply) ? reply.error.code : null;
}

/** The text of its only answer, a tool's. */
export function textOf({ answers }: Sent): unknown {
  const [reply] = answers;
  return reply === undefined || isError(reply) ? null : (reply.result["text"] ?? null);
}

export function said(text: string): Reply {
  return { result: { text } };
}

/** A call that has asked one question, and whose client was told. */
export async function parked(rig: SuspendedRig, principal = ANN) {
  const { sent, call } = await rig.begin({ principal });
  const question = ask(call);
  await rig.clock.advance(GATHER_MS);
  const required = inputRequired(sent);
  return { sent, call, question, ...required, retry: retryParams(required.state, { q1: accept() }) };
}

/** The call comes to its end. */
export async function finish(call: Ran, reply: Reply = said("done")): Promise<void> {
  call.reply(reply);
  await settle();
}
