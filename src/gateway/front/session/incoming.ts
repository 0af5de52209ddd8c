// Reads one message of a client or a batch of messages (protocol 2025-03-26); both transports use it.
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
import type { CallOutlet } from "./outlet.ts";
import type { Session } from "./session.ts";

const BATCH_LIMIT = 100;

export type ValidMessage = Exclude<Classified, { readonly kind: "invalid" }>;

export interface Batch {
  readonly kind: "batch";
  readonly session: Session;
  readonly messages: readonly ValidMessage[];
  /** Replies to members that are not valid messages; `id` null: it could not be read. */
  readonly errors: readonly { readonly id: RpcId | null; readonly reply: Reply }[];
  /** The number of requests in `messages`, plus the number of `errors`. */
  readonly answers: number;
}

type Incoming =
  /** The whole text is refused with one error. */
  | { readonly kind: "refused"; readonly code: number; readonly id: RpcId | null; readonly reason: string }
  | { readonly kind: "message"; readonly message: ValidMessage }
  | Batch;

/**
 * Parses a message or a batch without handling it. One exception: an invalid response to a question settles that
 * question with an error.
 */
export function readIncoming(bytes: Buffer, session: Session | null): Incoming {
  if (!isUtf8(bytes)) return refused("the message is not UTF-8", PARSE_ERROR);
  let value: unknown;
  try {
    value = parseExactly(bytes.toString("utf8"));
  } catch {
    // Without the parser's own error text, which would repeat parts of the message.
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

/**
 * Gives each message of the batch to its session, and the answers to `outlet`. If `refusal` is given, all requests
 * get it as their answer.
 */
export function serveBatch(
  { session, messages, errors }: Omit<Batch, "kind">,
  outlet: CallOutlet,
  refusal: Reply | null = null,
): void {
  for (const { id, reply } of errors) outlet.answer(id, reply);
  for (const message of messages) {
    if (message.kind !== "request") session.handle(message);
    else if (refusal !== null) outlet.answer(message.message.id, refusal);
    else session.serve(message.message, outlet);
  }
}

function refused(reason: string, code: number = INVALID_REQUEST, id: RpcId | null = null): Incoming {
  return { kind: "refused", code, id, reason };
}
