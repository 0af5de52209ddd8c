// The contract of a backend transport: one connection to one MCP server, as JSON-RPC messages. Each transport has a
// folder beside this file, and one contract suite runs on all of them.

import { stripVTControlCharacters } from "node:util";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { printable } from "../../../runtime/text/plain-text.ts";
import { safeLine } from "../../../runtime/text/safe-line.ts";
import type { ClientHandle } from "../../client-handle.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  type JsonObject,
  jsonOf,
  type RpcId,
  type RpcMessage,
} from "../../json-rpc.ts";
import { LEGACY_VERSIONS, MODERN_VERSION, type SpokenVersion } from "../../protocol.ts";

/** Why a link, or one request on it, failed. `message` is for people and contains no secret. */
export interface TransportFailure {
  readonly kind: /** The program could not be started, or the host could not be reached. */
    | "unreachable"
    /** The process ended, or the connection broke: the server may have done the work. */
    | "closed"
    /** HTTP: the server no longer knows our session; it has not done the work. */
    | "session_lost"
    /** HTTP: an error status. */
    | "refused"
    /** HTTP: no valid token is available for this request or the next one; the server has not done the work. */
    | "unauthorized"
    /** The server answered something that is not MCP. */
    | "protocol"
    /** The server does not read its input, or sends more than the limits allow. */
    | "overloaded";
  readonly message: string;
  readonly hint: string | null;
  /** `message` without the server's address. Absent: `message` has none. */
  readonly cause?: string;
  /** HTTP: the status of the refusal. */
  readonly status?: number;
  /**
   * HTTP: the address accepts no connections. Absent for other failures, such as a wrong name, certificate or answer.
   */
  readonly isUnreachable?: true;
  /** The program exited unasked with exit code 0. */
  readonly isOrderly?: true;
}

export function transportFailure(
  kind: TransportFailure["kind"],
  message: string,
  hint: string | null = null,
): TransportFailure {
  return { kind, message, hint };
}

/** What the author of a server should change although it can be used. `policy/condition-rows.ts` has the words. */
export type ServerQuirk =
  | "mixed_lines"
  | "spread_answers"
  | "framed_messages"
  | "no_numbers"
  | "undeclared_lists"
  | "unsteady_lists";

export const UNREADABLE = transportFailure(
  "protocol",
  "its answer has NaN or Infinity, which JSON does not have",
  "the author of the server should write null in their place",
);

const LONGEST_VERSIONS = 300;

/** `theirs`: the versions that the server names; "": none. */
export function unknownVersion(theirs: string): TransportFailure {
  const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
  const message = `the server speaks MCP ${safeLine(theirs, LONGEST_VERSIONS) || "of no version"}, the gateway ${ours}`;
  return transportFailure("protocol", message, "use a version of the server that speaks one of these");
}

export interface TransportEvents {
  /**
   * One parsed JSON value from the server (not checked to be JSON-RPC). `streamOf` is the id of the request whose HTTP
   * response delivered it; null on stdio and on a GET stream. A returned promise pauses the source (the one HTTP response,
   * or the process) until it settles.
   */
  onMessage(message: unknown, streamOf: RpcId | null): Promise<void> | null;
  /**
   * A request will get no answer. On stdio only if the backlog is full, the message cannot be written, or its answer cannot be
   * read.
   */
  onRequestFailed(id: RpcId, failure: TransportFailure): void;
  /**
   * HTTP: of a large answer to this request, this many bytes have come so far. A returned promise pauses its response until it
   * settles.
   */
  onReceived?(id: RpcId, bytes: number): Promise<void> | null;
  /** HTTP: the server refuses a stream that it granted before, so it may have forgotten the session. */
  onSuspect(): void;
  /** HTTP: the server refused a request and wants no further one for this long, ms. */
  onRetryAfter?(ms: number): void;
  /** HTTP: called when the server's own stream was interrupted. Messages sent during the gap are lost. */
  onGap(): void;
  /** Called once, as the last event, but not after `close`. */
  onClosed(failure: TransportFailure): void;
  /** May be called again for the same. */
  onQuirk(oddity: ServerQuirk): void;
  /** A line outside the protocol: of stderr, or a line of stdout that is not JSON. */
  onLogLine(line: string): void;
}

export type Sender = Pick<ClientHandle, "sessionId" | "capabilities" | "logLevel">;

/** HTTP without a session: each message describes itself in its headers. */
export interface StatelessSender {
  /**
   * Sends a message without a session, otherwise like `BackendTransport.send`. An existing session and its stream
   * are ended.
   */
  send(message: RpcMessage, headers: Readonly<Record<string, string>>): void;
  /** Cancels a request by closing its stream. No event of this request follows. */
  abandon(id: RpcId): void;
}

export interface BackendTransport {
  /** The id of the process; null: the transport starts none. */
  readonly pid: number | null;
  /** Bytes accepted by `send` that the server has not received. */
  readonly backlogBytes: number;
  /**
   * Sends one message; messages keep their order. Never throws: a request that cannot be sent fails with
   * `onRequestFailed`, any other message is dropped. `sender`: the client that sends the request; absent or null: the
   * gateway.
   */
  send(message: RpcMessage, sender?: Sender | null): void;
  /** Called after the result of `initialize`. Later messages carry the version, and the server's own stream is opened. */
  established(version: SpokenVersion): void;
  /** True: no request is sent twice. Absent: one may be. */
  readonly sendsOnce?: boolean;
  /** Present if the transport can send messages without a session. */
  readonly stateless?: StatelessSender;
  /** Why this tool cannot be called over the link; null: it can. Absent: all tools can. */
  readonly toolFault?: (tool: JsonObject) => string | null;
  /**
   * Closes gracefully, within 5 s: stdio closes stdin, then sends SIGTERM and at last SIGKILL to the process
   * group; HTTP deletes the session. Resolves when nothing is left. Idempotent.
   */
  close(): Promise<void>;
}

/** Opens a link. Never throws: a failure comes as `onClosed`. Nothing is called back synchronously. */
export type OpenTransport = (events: TransportEvents) => BackendTransport;

/** A link that could not be opened. Calls `onClosed` asynchronously, unless it is closed first. */
export function closedTransport(failure: TransportFailure, events: TransportEvents): BackendTransport {
  let closed = false;
  setImmediate(() => {
    if (!closed) events.onClosed(failure);
    closed = true;
  });
  return {
    pid: null,
    backlogBytes: 0,
    send() {},
    established() {},
    close() {
      closed = true;
      return Promise.resolve();
    },
  };
}

/** Limit of one message from the server, and of the backlog. */
export const LIMIT_BYTES = TEXT_BOUNDS.message.most;

export function tooLong(limitBytes: number): TransportFailure {
  return transportFailure("overloaded", `it sent a message of more than ${limitBytes} bytes`);
}

// JSON can be parsed with deeper nesting than can be written, so a message of 60 KB can cause this.
const UNWRITABLE = transportFailure("refused", "the message is nested too deep to be sent");
const OVERLOADED = transportFailure("overloaded", "it does not read its input: too much is waiting for it");

/**
 * Returns the message as JSON. Null: the message cannot be sent, and a request is answered with a failure later, if
 * `isOpen` still holds. An answer that cannot be written becomes an error, so that the server does not wait for it.
 * `isFull`: the backlog is at its limit.
 */
export function messageText(
  message: RpcMessage,
  isFull: boolean,
  events: TransportEvents,
  isOpen: () => boolean,
): string | null {
  const text = isFull ? null : jsonOf(message);
  if (text !== null) return text;
  if (!isFull && !("method" in message)) {
    const { id } = message;
    return JSON.stringify({ jsonrpc: "2.0", id, ...errorReply(INTERNAL_ERROR, UNWRITABLE.message) });
  }
  if ("method" in message && "id" in message) {
    const { id } = message;
    setImmediate(() => {
      if (isOpen()) events.onRequestFailed(id, isFull ? OVERLOADED : UNWRITABLE);
    });
  }
  return null;
}

const LINE_LENGTH = 4_096;
/** Maximum number of characters that are read of a line; the rest is ignored. */
const READ_LENGTH = 64 * 1024;

/** Makes one line of a backend safe to keep and show: no control characters, no secrets, at most 4 KiB. */
export type CleanLine = (line: string) => string;

export function createLineCleaner(secrets: readonly string[]): CleanLine {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret);
  return (line) => {
    // The line is redacted before it is cut, so that no part of a secret remains.
    const plain = printable(redaction.clean(stripVTControlCharacters(line.slice(0, READ_LENGTH))));
    return plain.length > LINE_LENGTH ? `${plain.slice(0, LINE_LENGTH)}…` : plain;
  };
}
