// Reads one message of a client or a batch of messages (protocol 2025-03-26); both transports use it.
import { isUtf8 } from "node:buffer";
import { isLarge, type LargeJson, readLarge } from "../../../runtime/json/large-json.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import {
  type Classified,
  classifyMessage,
  errorReply,
  INVALID_REQUEST,
  isJsonObject,
  isRpcId,
  LIMIT_REACHED,
  PARSE_ERROR,
  type Reply,
  type RpcId,
  type RpcRequest,
} from "../../json-rpc.ts";
import { tooManyValues } from "../../written-results.ts";
import type { CallStream } from "./client-stream.ts";
import type { ClientNotice, Session } from "./session.ts";

const BATCH_LIMIT = 100;

export type ValidMessage = Exclude<Classified, { readonly kind: "invalid" }>;

export interface Batch {
  readonly kind: "batch";
  readonly messages: readonly ValidMessage[];
  /** Members that are not valid messages. */
  readonly invalid: readonly InvalidMessage[];
  /** The number of requests in `messages`, plus the number of `invalid`. */
  readonly answers: number;
}

interface InvalidMessage {
  readonly code: number;
  /** Null: it could not be read. */
  readonly id: RpcId | null;
  readonly reason: string;
  /** The question to which the message is an invalid answer; null: it is not one. */
  readonly question: string | null;
}

type Single =
  /** The whole text is refused with one error. */
  | ({ readonly kind: "refused" } & InvalidMessage)
  | { readonly kind: "message"; readonly message: ValidMessage };

export type Incoming = Single | Batch;

export interface SessionBatch extends Batch {
  readonly session: Session;
}

export function initializeIn(incoming: Incoming): RpcRequest | null {
  const request =
    incoming.kind === "message" && incoming.message.kind === "request" ? incoming.message.message : null;
  return request?.method === "initialize" ? request : null;
}

/**
 * Parses a message or a batch and gives it to `take`, without handling it. Takes over `bytes`. Returns a promise if the
 * message is large: then `take` is called before the promise resolves. Otherwise it is called at once.
 */
export function readIncoming(bytes: Buffer, take: (incoming: Incoming) => void): Promise<void> | null {
  // Without the parser's own error text, which would repeat parts of the message.
  const noJson = refused("the message is not JSON", PARSE_ERROR);
  if (!isUtf8(bytes)) take(refused("the message is not UTF-8", PARSE_ERROR));
  else if (isLarge(bytes)) {
    return readLarge(bytes).then(
      (large) => takeReadable(large, take),
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
    take(incomingOf(value));
  }
  return null;
}

/** Checks the message against its session: only one protocol version has batches. Invalid answers settle their questions. */
export function incomingFor(session: Session | null, incoming: Incoming): Single | SessionBatch {
  const { kind } = incoming;
  const invalid = kind === "batch" ? incoming.invalid : kind === "refused" ? [incoming] : [];
  for (const { question } of invalid) if (question !== null) session?.answerInvalid(question);
  if (incoming.kind !== "batch") return incoming;
  return session?.protocolVersion === "2025-03-26"
    ? { ...incoming, session }
    : refused("this protocol version has no batches");
}

function incomingOf(value: unknown): Incoming {
  if (Array.isArray(value)) return batchOf(value);
  const message = classifyMessage(value);
  return message.kind === "invalid"
    ? { kind: "refused", ...invalidMessage(message, value) }
    : { kind: "message", message };
}

/** Refuses the message if it has too many values where the gateway has to read them. */
function takeReadable(large: LargeJson, take: (incoming: Incoming) => void): void {
  try {
    const incoming = incomingOf(large.parse());
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

function batchOf(values: readonly unknown[]): Incoming {
  if (values.length === 0 || values.length > BATCH_LIMIT)
    return refused(`a batch has 1 to ${BATCH_LIMIT} messages`);
  const messages: ValidMessage[] = [];
  const invalid: InvalidMessage[] = [];
  for (const value of values) {
    const message = classifyMessage(value);
    if (message.kind === "invalid") invalid.push(invalidMessage(message, value));
    else messages.push(message);
  }
  const requests = messages.filter(({ kind }) => kind === "request").length;
  return { kind: "batch", messages, invalid, answers: requests + invalid.length };
}

function invalidMessage(
  { id, reason }: { readonly id: RpcId | null; readonly reason: string },
  value: unknown,
): InvalidMessage {
  const isAnswer = isJsonObject(value) && value["method"] === undefined && typeof id === "string";
  return { code: INVALID_REQUEST, id, reason, question: isAnswer ? id : null };
}

/**
 * Gives each request of the batch to its session, and the answers to `stream`; `take` gets the other messages. If `refusal`
 * is given, all requests get it as their answer.
 */
export function serveBatch(
  { session, messages, invalid }: Pick<SessionBatch, "session" | "messages" | "invalid">,
  stream: CallStream,
  take: (notice: ClientNotice) => void,
  refusal: Reply | null = null,
): void {
  for (const { id, reason } of invalid) stream.answer(id, errorReply(INVALID_REQUEST, reason));
  for (const message of messages) {
    if (message.kind !== "request") take(message);
    else if (refusal !== null) stream.answer(message.message.id, refusal);
    else session.serve(message.message, stream);
  }
}

function refused(reason: string, code: number = INVALID_REQUEST, id: RpcId | null = null): Single {
  return { kind: "refused", code, id, reason, question: null };
}
