// What the bridge remembers of the messages that it passes on, and the notifications that it writes itself.
import type { JsonMembers } from "../runtime/text/json-object.ts";

/** Maximum number of remembered requests; the oldest is forgotten first. The gateway allows only 512 in flight. */
export const MOST_WAITING = 4_096;
/** Longest request kept for repeating, and longest URI of a subscription. */
export const RETAINED_BYTES = 4_096;

/** The lasting effect of a request once it has succeeded. */
export type Effect =
  | { readonly kind: "initialize"; readonly params: JsonMembers }
  | { readonly kind: "level"; readonly level: string }
  | { readonly kind: "subscribe" | "unsubscribe"; readonly uri: string };

const LIST_KINDS = ["tools", "resources", "prompts"] as const;
type ListKind = (typeof LIST_KINDS)[number];

export function notice(method: string, params?: object): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}

/** The methods by which changes of those lists are notified. */
export function listChanges(isWanted: (kind: ListKind) => boolean = () => true): readonly string[] {
  return LIST_KINDS.filter(isWanted).map((kind) => `notifications/${kind}/list_changed`);
}

/** Null: the request has none. */
export function effectOf(method: string, params: () => JsonMembers): Effect | null {
  switch (method) {
    case "initialize":
      return { kind: "initialize", params: params() };
    case "logging/setLevel": {
      const { level } = params();
      return isStored(level) ? { kind: "level", level } : null;
    }
    case "resources/subscribe":
    case "resources/unsubscribe": {
      const { uri } = params();
      const kind = method === "resources/subscribe" ? "subscribe" : "unsubscribe";
      return isStored(uri) ? { kind, uri } : null;
    }
    default:
      return null;
  }
}

function isStored(value: unknown): value is string {
  return typeof value === "string" && value.length <= RETAINED_BYTES;
}
