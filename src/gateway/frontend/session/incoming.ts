// Reads one message of a client or a batch of messages (protocol 2025-03-26); both transports use it.
import { isUtf8 } from "node:buffer";
import { isLarge, type LargeJson, readLarge } from "../../../runtime/json/large-json.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { jsonObject, objectOf } from "../../../runtime/text/json-object.ts";
import {
  type Classified,
  classifyMessage,
  errorReply,
  INVALID_REQUEST,
  isRpcId,
  LIMIT_REACHED,
  PARSE_ERROR,
  type Reply,
  type RpcId,
  type RpcRequest,
} from "../../json-rpc.ts";
import { tooManyValues } from "../../written-results.ts";
import type { CallStream } from "./client-stream.ts";
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

export type Incoming =
  /** The whole text is refused with one error. */
  | { readonly kind: "refused"; readonly code: number; readonly id: RpcId | null; readonly reason: string }
  | { readonly kind: "message"; readonly message: ValidMessage }
  | Batch;

export function initializeIn(incoming: Incoming): RpcRequest | null {
  const request =
    incoming.kind === "message" && incoming.message.kind === "request" ? incoming.message.message : null;
  return request?.method === "initialize" ? request : null;
}

/** Longest text that is parsed to see whether it is an `initialize`; those of real clients have a few hundred bytes. */
const LONGEST_BEGINNING = 64 * 1024;

/** Whether the text is an `initialize`, which no other machine needs to see, whatever session it names. */
export function beginsSession(text: Buffer): boolean {
  if (text.length > LONGEST_BEGINNING || !text.includes('"initialize"')) return false;
  return jsonObject(text.toString("utf8"))?.["method"] === "initialize";
}

/**
 * Parses a message or a batch and gives it to `take`, without handling it. Takes over `bytes`. Returns a promise if the
 * message is large: then `take` is called before the promise resolves. Otherwise it is called at once. One exception: an
 * invalid response to a question settles that question with an error.
 */
export function readIncoming(
  bytes: Buffer,
  session: Session | null,
  take: (incoming: Incoming) => void,
): Promise<void> | null {
  // Without the parser's own error text, which would repeat parts of the message.
  const noJson = refused("the message is not JSON", PARSE_ERROR);
  if (!isUtf8(bytes)) take(refused("the message is not UTF-8", PARSE_ERROR));
  else if (isLarge(bytes)) {
    return readLarge(bytes).then(
      (large) => takeReadable(large, session, take),
      () => take(noJson),
    );
  } else {
    let value: unknown;
    try {
      value = parseExactly(bytes.toString("utf8"));
    } catch {
      take(noJson);
      return null;
    }
    take(incomingOf(value, session));
  }
  return null;
}

function incomingOf(value: unknown, session: Session | null): Incoming {
  if (Array.isArray(value)) return readBatch(value, session);
  const message = classifyMessage(value);
  if (message.kind === "invalid") {
    session?.completeInvalid(value, message.id);
    return refused(message.reason, INVALID_REQUEST, message.id);
  }
  return { kind: "message", message };
}

/** Refuses the message if it has too many values where the gateway has to read them. */
function takeReadable(large: LargeJson, session: Session | null, take: (incoming: Incoming) => void): void {
  try {
    const incoming = incomingOf(large.parse(), session);
    if (incoming.kind === "message" && incoming.message.kind !== "response")
      Object.keys(objectOf(incoming.message.message.params?.["_meta"]));
    take(incoming);
  } catch (error) {
    const unread = tooManyValues(error);
    if (unread === null) throw error;
    // Of a batch, all of it is refused.
    const [{ id, method } = {}, ...others] = large.heads;
    const isRequest = others.length === 0 && method !== undefined && isRpcId(id);
    take(refused(unread.error.message, LIMIT_REACHED, isRequest ? id : null));
  }
}

function readBatch(values: readonly unknown[], session: Session | null): Incoming {
  if (session === null || session.protocolVersion !== "2025-03-26") {
    return refused("this protocol version has no batches");
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
      session.completeInvalid(value, id);
      errors.push({ id, reply: errorReply(INVALID_REQUEST, reason) });
    }
  }
  const requests = messages.filter(({ kind }) => kind === "request").length;
  return { kind: "batch", session, messages, errors, answers: requests + errors.length };
}

/**
 * Gives each message of the batch to its session, and the answers to `stream`. If `refusal` is given, all requests
 * get it as their answer.
 */
export function serveBatch(
  { session, messages, errors }: Omit<Batch, "kind">,
  stream: CallStream,
  refusal: Reply | null = null,
): void {
  for (const { id, reply } of errors) stream.answer(id, reply);
  for (const message of messages) {
    if (message.kind !== "request") session.handle(message);
    else if (refusal !== null) stream.answer(message.message.id, refusal);
    else session.serve(message.message, stream);
  }
}

function refused(reason: string, code: number = INVALID_REQUEST, id: RpcId | null = null): Incoming {
  return { kind: "refused", code, id, reason };
}
