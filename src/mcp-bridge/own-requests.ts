// Owns what a bridge asks the gateway itself, between the requests of its client: under ids that no client has.
import { randomBytes } from "node:crypto";
import type { JsonMembers } from "../runtime/text/json-object.ts";
import type { MessageId } from "./message-scan.ts";

interface OwnRequests {
  /** The request as JSON; its answer, a JSON-RPC response, goes to `onAnswer`. */
  ask(method: string, params: JsonMembers, onAnswer: (answer: JsonMembers) => void): string;
  isOwn(id: MessageId | null): id is MessageId;
  settle(id: MessageId, answer: JsonMembers): void;
  /** Whoever was asked is gone. */
  forget(): void;
}

export function createOwnRequests(): OwnRequests {
  const prefix = `"mountaineer-bridge-${randomBytes(12).toString("base64url")}-`;
  const waiting = new Map<MessageId, (answer: JsonMembers) => void>();
  let asked = 0;
  return {
    ask(method, params, onAnswer) {
      asked += 1;
      const id = `${prefix}${asked}"`;
      waiting.set(id, onAnswer);
      return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
    },
    isOwn(id): id is MessageId {
      return id?.startsWith(prefix) === true;
    },
    settle(id, answer) {
      const onAnswer = waiting.get(id);
      waiting.delete(id);
      onAnswer?.(answer);
    },
    forget: () => waiting.clear(),
  };
}
