// What the chain answers, as a modern client gets it: a modern backend's state goes out in one of ours, and addresses
// that a legacy backend wants visited first become input that is required.
import { takesElicitation, URL_ELICITATION_REQUIRED } from "../../elicitation.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcError,
} from "../../json-rpc.ts";
import type { ModernCall } from "../modern/call.ts";
import type { ModernRequest } from "../modern/request.ts";
import { answerIn, mayAskWithin, missingReply, responsesIn } from "./input-requests.ts";
import type { State } from "./sealed-state.ts";

/** Of one error. */
const MOST_ADDRESSES = 64;

/** `seal`: null where the request cannot be told again. */
export function outgoingReply(
  reply: Reply,
  { work, declared, isAgreed, client }: Pick<ModernCall, "work" | "declared" | "isAgreed" | "client">,
  seal: (state: State) => string | null,
): Reply {
  const before = { isAgreed, identity: client.name };
  if (isError(reply)) {
    if (reply.error.code !== URL_ELICITATION_REQUIRED) return reply;
    // The code is one that no modern client knows.
    const unknown = errorReply(INTERNAL_ERROR, reply.error.message);
    if (!mayAskWithin(work.method)) return unknown;
    return visits(reply.error, declared, (keys) => seal({ kind: "visit", keys, ...before })) ?? unknown;
  }
  const { result } = reply;
  if (result["resultType"] !== "input_required") return reply;
  const given = result["requestState"];
  const state = typeof given === "string" ? given : null;
  // It comes back to the backend as it is: nothing depends on who sends it.
  if (state === null && !isAgreed) return reply;
  const requestState = seal({ kind: "backend", state, ...before });
  return requestState === null ? notTold() : { result: { ...result, requestState } };
}

/** What is answered instead of a second call, where a person did not visit all addresses; null: it is called again. */
export function declinedVisit(keys: readonly string[], { method, params }: ModernRequest): Reply | null {
  const responses = responsesIn(params);
  const isDeclined = keys.some((key) => {
    const answer = answerIn(responses, key, { method: "elicitation/create" });
    return answer !== null && answer["action"] !== "accept";
  });
  if (!isDeclined) return null;
  const text = "It was not run: the person at the client did not open the address that it needs.";
  return method === "tools/call"
    ? { result: { content: [{ type: "text", text }], isError: true } }
    : errorReply(INVALID_REQUEST, text);
}

/** Null: it names no address. */
function visits(
  { data }: RpcError,
  declared: JsonObject,
  seal: (keys: readonly string[]) => string | null,
): Reply | null {
  const given = isJsonObject(data) ? data["elicitations"] : undefined;
  const asked = Array.isArray(given) ? given.slice(0, MOST_ADDRESSES).filter(isAddress) : [];
  if (asked.length === 0) return null;
  if (takesElicitation(declared, "url") !== true) return missingReply({ elicitation: { url: {} } });
  const inputRequests = Object.fromEntries(
    asked.map(({ url, message: why }, index) => [
      `u${index + 1}`,
      { method: "elicitation/create", params: { mode: "url", message: why, url } },
    ]),
  );
  const requestState = seal(Object.keys(inputRequests));
  return requestState === null
    ? notTold()
    : { result: { resultType: "input_required", inputRequests, requestState } };
}

function isAddress(value: unknown): value is { readonly url: string; readonly message: string } {
  return isJsonObject(value) && typeof value["url"] === "string" && typeof value["message"] === "string";
}

function notTold(): Reply {
  return errorReply(INTERNAL_ERROR, "input is required, and the request is nested too deep to be made again");
}
