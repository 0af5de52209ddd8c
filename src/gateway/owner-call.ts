// Owns a call that the home's owner makes without a session: it is answered, and cannot be asked back.
import { type CallPort, type ClientPort, OWNER } from "./client-port.ts";
import { errorReply, METHOD_NOT_FOUND } from "./json-rpc.ts";
import { LATEST_VERSION } from "./protocol.ts";

const NEVER_ENDED = new AbortController().signal;

/** A new client for each call: two of them at once are never taken for one. */
export function ownerCall(): CallPort {
  const cannotBeAsked = () =>
    Promise.resolve(
      errorReply(METHOD_NOT_FOUND, "this call was made from a command line and cannot be asked"),
    );
  const client: ClientPort = {
    sessionId: "owner",
    principal: OWNER,
    protocolVersion: LATEST_VERSION,
    capabilities: {},
    clientInfo: { name: "mountaineer" },
    logLevel: null,
    ended: NEVER_ENDED,
    notify() {},
    request: cannotBeAsked,
  };
  return { client, id: 1, notify() {}, request: cannotBeAsked, congested: null };
}
