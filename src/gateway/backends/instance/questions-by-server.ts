// Names the server in what it asks a person: a client shows all questions as the gateway's, whose own sign-ins a server's must
// not pass for. The server's own words follow, whole.
import { isUnreadable } from "../../../runtime/json/large-json.ts";
import type { ClientHandle } from "../../client-handle.ts";
import { isJsonObject, type JsonObject, type RpcError } from "../../json-rpc.ts";
import { URL_ELICITATION_REQUIRED } from "../../protocol.ts";
import type { ClientRecords, ElicitationRecord } from "./attribution.ts";

/** A form to fill in, or a page to open. */
export function questionBy(backend: string, question: JsonObject): JsonObject {
  if (isUnreadable(question)) return question;
  const { message } = question;
  return { ...question, message: `Server ${backend} asks: ${typeof message === "string" ? message : ""}` };
}

/** The error, in which each page that it asks the client to open is named after the server; they are remembered. */
export function pagesBy(
  backend: string,
  error: RpcError,
  elicitations: ClientRecords<ElicitationRecord>,
  client: ClientHandle,
): RpcError {
  const { code, data } = error;
  if (code !== URL_ELICITATION_REQUIRED || !isJsonObject(data) || !Array.isArray(data["elicitations"]))
    return error;
  const named = data["elicitations"].filter(isJsonObject).map((page) => {
    elicitations.remember(page["elicitationId"], { client, call: null });
    return questionBy(backend, page);
  });
  return { ...error, data: { ...data, elicitations: named } };
}

/** A result, or a task, in which each question of the input that the server requests is named after it. */
export function inputsBy(backend: string, result: JsonObject): JsonObject {
  const inputs = isUnreadable(result) ? undefined : result["inputRequests"];
  if (!isJsonObject(inputs)) return result;
  const named = Object.entries(inputs).map(([key, one]) => {
    const question = isJsonObject(one) && one["method"] === "elicitation/create" ? one["params"] : null;
    return [key, isJsonObject(question) ? { ...Object(one), params: questionBy(backend, question) } : one];
  });
  return { ...result, inputRequests: Object.fromEntries(named) };
}
