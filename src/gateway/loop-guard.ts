// The loop guard: a gateway that is its own backend would list its own lists for ever, and call itself.
import { errorReply, INVALID_REQUEST, isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "mountaineer/gateway";

/** What the gateway says to a server at the start, in `_meta`. */
export function loopGuard(): JsonObject {
  return { [KEY]: mark() };
}

/** What it gets for an answer from itself. */
export const OWN_BACKEND = errorReply(
  INVALID_REQUEST,
  "the gateway cannot be its own backend; remove this one from its configuration",
);

/** Whether an `initialize`, or a `server/discover`, with these params comes from this very gateway. */
export function isFromThisGateway(params: JsonObject | undefined): boolean {
  const meta = params?.["_meta"];
  return isJsonObject(meta) && meta[KEY] === mark();
}

/** Of this process alone: another one with its number began at another moment. */
function mark(): string {
  return `${process.pid}-${performance.timeOrigin}`;
}
