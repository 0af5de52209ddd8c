// Owns what a batch is (protocol 2025-03-26), whatever carries it: each member has its own fate.
import {
  type Classified,
  classifyMessage,
  errorReply,
  INVALID_REQUEST,
  type RpcError,
  type RpcId,
} from "../../json-rpc.ts";
import { BATCH_LIMIT } from "./limits.ts";
import type { Session } from "./session.ts";

interface MemberError {
  /** As far as it could be read. */
  readonly id: RpcId | null;
  readonly reply: { readonly error: RpcError };
}

type Batch =
  /** As a whole, by one error. */
  | { readonly kind: "refused"; readonly reason: string }
  | {
      readonly kind: "taken";
      readonly session: Session;
      /** In their order. */
      readonly messages: readonly Exclude<Classified, { readonly kind: "invalid" }>[];
      /** How many of the messages are requests. */
      readonly requests: number;
      /** The answers to what is no message at all. */
      readonly errors: readonly MemberError[];
    };

/** Nothing of it is handed on yet; but what was meant as an answer, and is none, has settled its question. */
export function readBatch(values: readonly unknown[], session: Session | null): Batch {
  if (session === null || session.protocolVersion !== "2025-03-26") {
    return { kind: "refused", reason: "batches are no part of this protocol version" };
  }
  if (values.length === 0 || values.length > BATCH_LIMIT) {
    return { kind: "refused", reason: `a batch has 1 to ${BATCH_LIMIT} messages` };
  }
  const messages: Exclude<Classified, { readonly kind: "invalid" }>[] = [];
  const errors: MemberError[] = [];
  let requests = 0;
  for (const value of values) {
    const message = classifyMessage(value);
    if (message.kind === "invalid") {
      const { id, reason } = message;
      session.settleInvalid(value, id);
      errors.push({ id, reply: errorReply(INVALID_REQUEST, reason) });
      continue;
    }
    messages.push(message);
    if (message.kind === "request") requests += 1;
  }
  return { kind: "taken", session, messages, requests, errors };
}
