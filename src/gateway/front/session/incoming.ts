// Reads what a client sends, whatever carries it: one message, or a batch (protocol 2025-03-26).
import { isUtf8 } from "node:buffer";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import {
  type Classified,
  classifyMessage,
  errorReply,
  INVALID_REQUEST,
  PARSE_ERROR,
  type Reply,
  type RpcId,
} from "../../json-rpc.ts";
import type { Session } from "./session.ts";

/** Messages of one batch. */
const BATCH_LIMIT = 100;

export type ValidMessage = Exclude<Classified, { readonly kind: "invalid" }>;

export interface Batch {
  readonly kind: "batch";
  readonly session: Session;
  /** In their order. */
  readonly messages: readonly ValidMessage[];
  /** The answers to members that are not valid messages; `id` as far as it could be read. */
  readonly errors: readonly { readonly id: RpcId | null; readonly reply: Reply }[];
  /** How many answers it gets: one for each request, and the errors. */
  readonly answers: number;
}

type Incoming =
  /** As a whole, by one error. */
  | { readonly kind: "refused"; readonly code: number; readonly id: RpcId | null; readonly reason: string }
  | { readonly kind: "message"; readonly message: ValidMessage }
  | Batch;

/** Nothing of it is handed on yet; but an invalid answer to a question has settled that question. */
export function readIncoming(bytes: Buffer, session: Session | null): Incoming {
  if (!isUtf8(bytes)) return refused("the message is not UTF-8", PARSE_ERROR);
  let value: unknown;
  try {
    value = parseExactly(bytes.toString("utf8"));
  } catch {
    // The parser's own words would repeat what was sent.
    return refused("the message is not JSON", PARSE_ERROR);
  }
  if (Array.isArray(value)) return readBatch(value, session);
  const message = classifyMessage(value);
  if (message.kind !== "invalid") return { kind: "message", message };
  session?.settleInvalid(value, message.id);
  return refused(message.reason, INVALID_REQUEST, message.id);
}

function readBatch(values: readonly unknown[], session: Session | null): Incoming {
  if (session === null || session.protocolVersion !== "2025-03-26") {
    return refused("batches are no part of this protocol version");
  }
  if (values.length === 0 || values.length > BATCH_LIMIT) {
    return refused(`a batch has 1 to ${BATCH_LIMIT} messages`);
  }
  const messages: ValidMessage[] = [];
  const errors: { id: RpcId | null; reply: Reply }[] = [];
  for (const value of values) {
    const message = classifyMessage(value);
    if (message.kind !== "invalid") messages.push(message);
    else {
      const { id, reason } = message;
      session.settleInvalid(value, id);
      errors.push({ id, reply: errorReply(INVALID_REQUEST, reason) });
    }
  }
  const requests = messages.filter(({ kind }) => kind === "request").length;
  return { kind: "batch", session, messages, errors, answers: requests + errors.length };
}

function refused(reason: string, code: number = INVALID_REQUEST, id: RpcId | null = null): Incoming {
  return { kind: "refused", code, id, reason };
}
