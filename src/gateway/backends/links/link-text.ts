// Owns the text of a message towards a server, and what becomes of one that has none: parsing nests deeper than
// writing does, so whoever sends 60 KB can make such a message.
import { errorReply, INTERNAL_ERROR, type RpcMessage } from "../../json-rpc.ts";
import type { LinkEvents, LinkFailure } from "./backend-link.ts";

const UNWRITABLE: LinkFailure = {
  kind: "refused",
  message: "the message is nested too deep to be sent",
  hint: null,
};

/**
 * As JSON. Null: there is nothing to send; of a request that is told to `events`, soon and while `isOpen`. An answer
 * becomes an error, so that the server does not wait for it.
 */
export function linkText(message: RpcMessage, events: LinkEvents, isOpen: () => boolean): string | null {
  try {
    return JSON.stringify(message);
  } catch (error) {
    // Also what is longer than a string may be.
    if (!(error instanceof RangeError)) throw error;
  }
  if (!("method" in message)) {
    const { id } = message;
    return JSON.stringify({ jsonrpc: "2.0", id, ...errorReply(INTERNAL_ERROR, UNWRITABLE.message) });
  }
  if ("id" in message) {
    const { id } = message;
    setImmediate(() => {
      if (isOpen()) events.onRequestFailed(id, UNWRITABLE);
    });
  }
  return null;
}
