// Input that a call can request from a client of 2026-07-28: the three kinds, the capability that each needs, and the form
// of its answer.

import { errorReply, isJsonObject, type JsonObject, type Reply } from "../../json-rpc.ts";
import { MISSING_CAPABILITY, takesElicitation } from "../../protocol.ts";

export interface InputRequest {
  readonly method: string;
  readonly params?: JsonObject;
}

/** True for the requests that can be answered with `input_required`. */
export function mayRequestWithin(method: string): boolean {
  return ["tools/call", "prompts/get", "resources/read"].includes(method);
}

/**
 * Turns a server's question into an input request, which lacks some params of a full request. `params` is always
 * present, because the Go SDK's client takes its absence for an error. Null: a client of 2026-07-28 cannot be asked
 * this question.
 */
export function inputRequest(method: string, params: JsonObject = {}): InputRequest | null {
  if (method !== "elicitation/create" && method !== "sampling/createMessage" && method !== "roots/list") {
    return null;
  }
  const { _meta, task, elicitationId, ...own } = params;
  const { progressToken, ...meta } = isJsonObject(_meta) ? _meta : {};
  const request = Object.keys(meta).length === 0 ? own : { ...own, _meta: meta };
  return { method, params: request };
}

/** The capabilities that the input needs and the client has not declared; null: none. */
export function missingFor({ method, params }: InputRequest, declared: JsonObject): JsonObject | null {
  if (method === "roots/list") return isJsonObject(declared["roots"]) ? null : { roots: {} };
  if (method === "elicitation/create") {
    const mode = params?.["mode"] === "url" ? "url" : "form";
    return takesElicitation(declared, mode) === true ? null : { elicitation: { [mode]: {} } };
  }
  const sampling = isJsonObject(declared["sampling"]) ? declared["sampling"] : null;
  const needsTools = params?.["tools"] !== undefined || params?.["toolChoice"] !== undefined;
  if (needsTools) return isJsonObject(sampling?.["tools"]) ? null : { sampling: { tools: {} } };
  return sampling === null ? { sampling: {} } : null;
}

export function missingReply(requiredCapabilities: JsonObject): Reply {
  const names = Object.entries(requiredCapabilities).map(([name, parts]) =>
    [name, ...Object.keys(isJsonObject(parts) ? parts : {})].join("."),
  );
  const message = `this call asks the client something that it does not support: ${names.join(", ")}`;
  return errorReply(MISSING_CAPABILITY, message, { requiredCapabilities });
}

/** The answers in the client's request, by key. */
export function responsesIn(params: JsonObject): JsonObject {
  const given = params["inputResponses"];
  return isJsonObject(given) ? given : {};
}

/** The answer under that key, as legacy servers expect it; null: absent or not valid. */
export function answerIn(responses: JsonObject, key: string, { method }: InputRequest): JsonObject | null {
  const given = Object.hasOwn(responses, key) ? responses[key] : undefined;
  if (!isJsonObject(given)) return null;
  const { resultType, ...answer } = given;
  return isAnswer(method, answer) ? answer : null;
}

function isAnswer(method: string, answer: JsonObject): boolean {
  if (method === "roots/list") return Array.isArray(answer["roots"]);
  if (method !== "elicitation/create") return answer["content"] !== undefined;
  const { action } = answer;
  return action === "accept" || action === "decline" || action === "cancel";
}
