// What a client of protocol 2026-07-28 listens for (`subscriptions/listen`), so that it goes on listening with the next
// daemon and does not notice.
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { idOf, type MessageId } from "./message-scan.ts";

/** Of one request, with all its resources; a longer one ends with its daemon. */
const KEPT_BYTES = 64 * 1024;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

/** What is honoured of each list, and the notice of its change. */
const NOTICES = {
  toolsListChanged: "notifications/tools/list_changed",
  resourcesListChanged: "notifications/resources/list_changed",
  promptsListChanged: "notifications/prompts/list_changed",
} as const;

interface Listening {
  /** What is sent to the next daemon; null: it is not. */
  readonly again: string | null;
  /** The next daemon has been asked, and has not acknowledged it yet. */
  isAskedAgain: boolean;
}

export function createListening(tellClient: (json: string) => void) {
  const listening = new Map<MessageId, Listening>();
  return {
    get size() {
      return listening.size;
    },
    begin(id: MessageId, line: Buffer | null): void {
      const isKept = line !== null && line.length <= KEPT_BYTES;
      listening.set(id, { again: isKept ? line.toString("utf8").trimEnd() : null, isAskedAgain: false });
    },
    has: (id: MessageId): boolean => listening.has(id),
    delete: (id: MessageId): boolean => listening.delete(id),
    /** The requests that do not go on; they are forgotten. */
    lost(): readonly MessageId[] {
      const over = [...listening].filter(([, { again }]) => again === null).map(([id]) => id);
      for (const id of over) listening.delete(id);
      return over;
    },
    /** The requests for the next daemon. */
    askAgain(): readonly string[] {
      const asked: string[] = [];
      for (const one of listening.values()) {
        if (one.again === null) continue;
        one.isAskedAgain = true;
        asked.push(one.again);
      }
      return asked;
    },
    /** Whether the client has the acknowledgement already. It is notified of what may have changed meanwhile. */
    isAcknowledgedAgain(params: JsonMembers): boolean {
      const subscription = objectOf(params["_meta"])[SUBSCRIPTION_ID];
      const id = idOf(subscription);
      const known = id === null ? undefined : listening.get(id);
      if (known?.isAskedAgain !== true) return false;
      known.isAskedAgain = false;
      const honoured = objectOf(params["notifications"]);
      for (const [flag, method] of Object.entries(NOTICES)) {
        if (honoured[flag] !== true) continue;
        const _meta = { [SUBSCRIPTION_ID]: subscription };
        tellClient(JSON.stringify({ jsonrpc: "2.0", method, params: { _meta } }));
      }
      return true;
    },
  };
}
