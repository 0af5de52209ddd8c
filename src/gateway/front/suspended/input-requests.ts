// What a modern client can be asked within a call: the three kinds, what it has to declare for each, and what an answer
// looks like.

import { errorReply, isJsonObject, type JsonObject, type Reply } from "../../json-rpc.ts";
import { MISSING_CAPABILITY, takesElicitation } from "../../protocol.ts";

export interface InputRequest {
  readonly method: string;
  readonly params?: JsonObject;
}

/** Requests within which a client can be asked. */
const ASKING: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);

export function mayAskWithin(method: string): boolean {
  return ASKING.has(method);
}

/**
 * Without what only a request of its own has a use for, and always with params: the Go SDK's client reads none as a fault.
 * Null: no modern client can be asked that.
 */
export function inputRequest(method: string, params: JsonObject = {}): InputRequest | null {
  if (method !== "elicitation/create" && method !== "sampling/createMessage" && method !== "roots/list") {
    return null;
  }
  const { _meta, task, elicitationId, ...own } = params;
  const { progressToken, ...meta } = isJsonObject(_meta) ? _meta : {};
  const kept = Object.keys(meta).length === 0 ? own : { ...own, _meta: meta };
  return { method, params: kept };
}

/** The capabilities that it needs and that are not declared; null: it may be asked. */
export function missingFor({ method, params }: InputRequest, declared: JsonObject): JsonObject | null {
  if (method === "roots/list") return isJsonObject(declared["roots"]) ? null : { roots: {} };
  if (method === "elicitation/create") {
    const mode = params?.["mode"] === "url" ? "url" : "form";
    return takesElicitation(declared, mode) === true ? null : { elicitation: { [mode]: {} } };
  }
  const { sampling } = declared;
  const needsTools = params?.["tools"] !== undefined || params?.["toolChoice"] !== undefined;
  if (needsTools) {
    return isJsonObject(sampling) && isJsonObject(sampling["tools"]) ? null : { sampling: { tools: {} } };
  }
  return isJsonObject(sampling) ? null : { sampling: {} };
}

export function missingReply(requiredCapabilities: JsonObject): Reply {
  const names = Object.entries(requiredCapabilities).map(([name, parts]) =>
    [name, ...Object.keys(isJsonObject(parts) ? parts : {})].join("."),
  );
  const message = `this call asks the client something that it does not support: ${names.join(", ")}`;
  return errorReply(MISSING_CAPABILITY, message, { requiredCapabilities });
}

/** The client's answers, by key. */
export function responsesIn(params: JsonObject): JsonObject {
  const given = params["inputResponses"];
  return isJsonObject(given) ? given : {};
}

/** The answer under that key, for a server of before; null: there is none that could be one. */
export function answerIn(responses: JsonObject, key: string, { method }: InputRequest): JsonObject | null {
  const given = Object.hasOwn(responses, key) ? responses[key] : undefined;
  if (!isJsonObject(given)) return null;
  const { resultType, ...answer } = given;
  return isAnswer(method, answer) ? answer : null;
}

function isAnswer(method: string, answer: JsonObject): boolean {
  if (method === "roots/list") return Array.isArray(answer["roots"]);
  if (method === "elicitation/create") return isAction(answer["action"]);
  return answer["content"] !== undefined;
}

function isAction(value: unknown): boolean {
  return value === "accept" || value === "decline" || value === "cancel";
}
