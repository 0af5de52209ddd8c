// The text of a message towards a server, and what becomes of a message that cannot be sent.
import { errorReply, INTERNAL_ERROR, type RpcMessage } from "../../json-rpc.ts";
import { type LinkEvents, linkFailure } from "./backend-link.ts";

/** Of one message from the server, and of what waits to be taken by it. */
export const LIMIT_BYTES = 64 * 1024 * 1024;

// Parsing nests deeper than writing does, so anybody who sends 60 KB can make such a message.
const UNWRITABLE = linkFailure("refused", "the message is nested too deep to be sent");
const OVERLOADED = linkFailure("overloaded", "it does not read its input: too much is waiting for it");

/**
 * As JSON. Null: nothing is sent; if it is a request, `events` gets its failure, soon and while `isOpen`. An answer that
 * cannot be written becomes an error, so that the server does not wait for it. `isFull`: the server takes no more.
 */
export function linkText(
  message: RpcMessage,
  isFull: boolean,
  events: LinkEvents,
  isOpen: () => boolean,
): string | null {
  try {
    if (!isFull) return JSON.stringify(message);
  } catch (error) {
    // Also what is longer than a string may be.
    if (!(error instanceof RangeError)) throw error;
    if (!("method" in message)) {
      const { id } = message;
      return JSON.stringify({ jsonrpc: "2.0", id, ...errorReply(INTERNAL_ERROR, UNWRITABLE.message) });
    }
  }
  if ("method" in message && "id" in message) {
    const { id } = message;
    setImmediate(() => {
      if (isOpen()) events.onRequestFailed(id, isFull ? OVERLOADED : UNWRITABLE);
    });
  }
  return null;
}
