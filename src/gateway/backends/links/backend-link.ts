// The contract of a backend transport: one connection to one MCP server, as JSON-RPC messages. Each transport has a
// folder beside this file, and one contract suite runs on all of them.

import { stripVTControlCharacters } from "node:util";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { foreignLine } from "../../../runtime/text/foreign-line.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INTERNAL_ERROR, type JsonObject, type RpcId, type RpcMessage } from "../../json-rpc.ts";
import { LEGACY_VERSIONS, MODERN_VERSION, type SpokenVersion } from "../../protocol.ts";

/** Why a link, or one request on it, came to nothing. `message` is fit for people: no secret, no stack. */
export interface LinkFailure {
  readonly kind: /** The program could not be started, or the host not be reached. */
    | "unreachable"
    /** The process ended, or the connection broke: whether the server did the work is not known. */
    | "closed"
    /** HTTP: the server no longer knows our session; it has not done the work. */
    | "session_lost"
    /** HTTP: an error status. */
    | "refused"
    /** HTTP: there is no valid token, and there will be none for the next request either; it has not done the work. */
    | "unauthorized"
    /** It answers something that is no MCP. */
    | "protocol"
    /** It does not read what it is sent, or sends more than the bounds allow. */
    | "overloaded";
  readonly message: string;
  readonly hint: string | null;
  /** HTTP: the status by which the server refused it. */
  readonly status?: number;
  /** HTTP: the address takes no connections; absent where its name, its certificate or its answers are what is wrong. */
  readonly isAway?: true;
}

export function linkFailure(
  kind: LinkFailure["kind"],
  message: string,
  hint: string | null = null,
): LinkFailure {
  return { kind, message, hint };
}

const LONGEST_VERSIONS = 300;

/** `theirs`: the versions that the server names; "": none. */
export function unknownVersion(theirs: string): LinkFailure {
  const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
  const message = `the server speaks MCP ${foreignLine(theirs, LONGEST_VERSIONS) || "of no version"}, the gateway ${ours}`;
  return linkFailure("protocol", message, "use a version of the server that speaks one of these");
}

export interface LinkEvents {
  /**
   * One parsed JSON value from the server (not checked to be JSON-RPC). `streamOf` is the id of the request whose HTTP
   * response carried it; null on stdio and on a GET stream. A returned promise asks the link to read no more from that
   * source (the one HTTP response, or the process) until it settles.
   */
  onMessage(message: unknown, streamOf: RpcId | null): Promise<void> | null;
  /** A request that was sent will get no answer. On stdio only of one that the server's backlog has no room for. */
  onRequestFailed(id: RpcId, failure: LinkFailure): void;
  /** HTTP: the server refuses what it granted before; it may have forgotten the session. A request tells. */
  onDoubt(): void;
  /** HTTP: the server's own stream was interrupted, and what it said meanwhile is lost. */
  onGap(): void;
  /** Once; nothing comes after it. Not called after `close` was. */
  onClosed(failure: LinkFailure): void;
  /** What the server writes beside the protocol: lines of stderr, and lines of stdout that are no JSON. */
  onLogLine(line: string): void;
}

/** The client that sends a request. */
export type Sender = Pick<ClientPort, "sessionId" | "capabilities" | "logLevel">;

/** HTTP without a session: each message says in its own headers what it is. */
export interface StatelessSender {
  /** As `BackendLink.send`. Ends the session there may be, and its stream. */
  send(message: RpcMessage, headers: Readonly<Record<string, string>>): void;
  /** Breaks the request off: to close its stream is to cancel it. Nothing more comes of it. */
  abandon(id: RpcId): void;
}

export interface BackendLink {
  /** The process' id; null over HTTP. */
  readonly pid: number | null;
  /** Bytes accepted by `send` and not yet taken by the server. */
  readonly backlogBytes: number;
  /**
   * Hands over one message, in order. Never throws: what cannot be sent comes back as `onRequestFailed` (a request) or
   * is dropped (the rest). `sender`: the client whose request it is; absent or null: the gateway's own.
   */
  send(message: RpcMessage, sender?: Sender | null): void;
  /** After the initialize result: what later messages carry, and from when the server's own stream is read. */
  established(version: SpokenVersion): void;
  /** Of a transport that can do without sessions. */
  readonly stateless?: StatelessSender;
  /** Why this tool cannot be called over the link; null: it can. Absent: any can. */
  readonly toolFault?: (tool: JsonObject) => string | null;
  /**
   * Ends in order, within 5 s: stdio closes stdin, then SIGTERM, then SIGKILL to the process group; HTTP deletes the
   * session. Resolves when nothing is left. Idempotent.
   */
  close(): Promise<void>;
}

/** Opens a link; rejects never: a failure comes as `onClosed`. Nothing is called back synchronously. */
export type OpenLink = (events: LinkEvents) => BackendLink;

// A link that could not be opened: it reports why, once, and does nothing else.

/** Calls `onClosed` back after this turn, unless it is closed first. */
export function closedLink(failure: LinkFailure, events: LinkEvents): BackendLink {
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

// The text of a message towards a server, and what becomes of a message that cannot be sent.

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

// Makes text from a backend fit for logs and people.

const LINE_LENGTH = 4_096;
/** Looked at of a longer text. */
const READ_LENGTH = 64 * 1024;

/** Makes one line fit to be kept and shown: no control characters, no secrets, at most 4 KiB. */
export type CleanLine = (line: string) => string;

/** `secrets` never appear in what comes out. */
export function createLineCleaner(secrets: readonly string[]): CleanLine {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret);
  return (line) => {
    // Redacted before it is cut: half a secret is one, too.
    const plain = harmless(redaction.clean(stripVTControlCharacters(line.slice(0, READ_LENGTH))));
    return plain.length > LINE_LENGTH ? `${plain.slice(0, LINE_LENGTH)}…` : plain;
  };
}
