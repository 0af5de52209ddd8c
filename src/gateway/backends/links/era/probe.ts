// Finds out which version a server speaks: `server/discover` first, then `initialize` if it does not answer that as one
// of 2026-07-28 does. What else it says meanwhile passes.

import { foreignLine } from "../../../../runtime/text/foreign-line.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import {
  classifyMessage,
  isError,
  isJsonObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  type Reply,
  type RpcId,
  type RpcRequest,
} from "../../../json-rpc.ts";
import {
  HEADER_MISMATCH,
  isProtocolVersion,
  LEGACY_VERSIONS,
  MISSING_CAPABILITY,
  MODERN_VERSION,
  UNSUPPORTED_VERSION,
} from "../../../protocol.ts";
import { type BackendLink, type LinkFailure, linkFailure } from "../backend-link.ts";
import { modernCapabilities, modernParams, requestHeaders } from "./older-form.ts";

/** How long the probe may stay unanswered before `initialize` is sent beside it. */
const SILENT_MS = 2_000;
/** How long the answer to one of the two messages may take after that to the other. */
const OTHER_MS = 2_000;

export type Found =
  | { readonly kind: "modern"; readonly discovered: JsonObject }
  /** `initialize` is under way, or, with a reply, answered. `wasSilent`: it did not answer the probe. */
  | { readonly kind: "older"; readonly reply: Reply | null; readonly wasSilent: boolean }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

interface ProbeOptions {
  readonly link: BackendLink;
  readonly clock: Clock;
  readonly initialize: RpcRequest;
  readonly probeId: RpcId;
  /** Nothing but 2026-07-28 is asked for: `initialize` is not sent. */
  readonly isPinned: boolean;
  /** It got `initialize` first, and this was its answer. */
  readonly answered: Reply | null;
  readonly onFound: (found: Found) => void;
}

export class Probe implements Disposable {
  readonly #options: ProbeOptions;
  #timer: Timer | null = null;
  #over = false;
  #judged: Judged | null = null;
  #isSent: boolean;
  #reply: Reply | null;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#reply = options.answered;
    this.#isSent = options.answered !== null;
    this.#ask();
    // Where only the probe counts, the deadline of the start does.
    if (!options.isPinned) this.#wait(this.#isSent ? OTHER_MS : SILENT_MS, () => this.#onSilence());
  }

  /** Whether the message was for it. */
  take(message: unknown): boolean {
    const classified = classifyMessage(message);
    if (this.#over || classified.kind !== "response") return false;
    const { id, reply } = classified;
    if (id === this.#options.probeId) this.#judge(judgeReply(reply));
    else if (id === this.#options.initialize.id && this.#isSent) this.#initialized(reply);
    else return false;
    return true;
  }

  requestFailed(id: RpcId, failure: LinkFailure): boolean {
    if (this.#over) return false;
    if (id === this.#options.probeId) this.#judge(judgeFailure(failure));
    else if (id === this.#options.initialize.id && this.#judged === null)
      this.#find({ kind: "failed", failure });
    else return false;
    return true;
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
  }

  #ask(): void {
    const { link, initialize, probeId } = this.#options;
    const { clientInfo, capabilities, _meta } = initialize.params ?? {};
    const params = modernParams(_meta === undefined ? undefined : { _meta }, {
      clientInfo,
      capabilities: modernCapabilities(isJsonObject(capabilities) ? capabilities : {}),
      logLevel: null,
    });
    const method = "server/discover";
    const message: RpcRequest = { jsonrpc: "2.0", id: probeId, method, params };
    if (link.stateless === undefined) link.send(message);
    else link.stateless.send(message, requestHeaders(method, params, []));
  }

  #wait(afterMs: number, then: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(afterMs, then);
  }

  #onSilence(): void {
    if (this.#reply !== null) this.#find({ kind: "older", reply: this.#reply, wasSilent: true });
    else this.#sendInitialize();
  }

  #sendInitialize(): void {
    this.#isSent = true;
    this.#options.link.send(this.#options.initialize);
  }

  #judge(judged: Judged): void {
    this.#judged = judged;
    if (judged.kind !== "older") this.#find(judged);
    else {
      if (!this.#isSent && !this.#options.isPinned) this.#sendInitialize();
      this.#find({ kind: "older", reply: this.#reply, wasSilent: false });
    }
  }

  #initialized(reply: Reply): void {
    if (!mayBeModern(reply)) this.#find({ kind: "older", reply, wasSilent: true });
    else {
      this.#reply = reply;
      this.#wait(OTHER_MS, () => this.#onSilence());
    }
  }

  #find(found: Found): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    const { link, probeId, onFound } = this.#options;
    if (found.kind !== "modern" && this.#judged === null) link.stateless?.abandon(probeId);
    onFound(found);
  }
}

// What the answer to `server/discover` says about the version that a server speaks. Pure.

type Judged =
  | { readonly kind: "modern"; readonly discovered: JsonObject }
  /** An older server, as far as this tells; `initialize` shows it. */
  | { readonly kind: "older" }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

/** Of a request that a server refuses which spoke that version before. */
export const OTHER_VERSION = linkFailure(
  "session_lost",
  "the server speaks another version of MCP than before",
);

const OLDER: Judged = { kind: "older" };
const LONGEST = 300;

export function judgeReply(reply: Reply): Judged {
  if (!isError(reply)) {
    const { supportedVersions } = reply.result;
    return Array.isArray(supportedVersions) ? bySupported(supportedVersions, reply.result) : OLDER;
  }
  const { code, message, data } = reply.error;
  if (code === UNSUPPORTED_VERSION) {
    const supported = isJsonObject(data) ? data["supported"] : undefined;
    return Array.isArray(supported) ? bySupported(supported, null) : OLDER;
  }
  if (code !== HEADER_MISMATCH && code !== MISSING_CAPABILITY) return OLDER;
  const said = foreignLine(message, LONGEST);
  return failed(linkFailure("protocol", `server/discover was answered with error ${code}: ${said}`));
}

function bySupported(supported: readonly unknown[], discovered: JsonObject | null): Judged {
  if (discovered !== null && supported.includes(MODERN_VERSION)) return { kind: "modern", discovered };
  if (supported.some(isProtocolVersion)) return OLDER;
  const theirs = foreignLine(supported.filter((one) => typeof one === "string").join(", "), LONGEST);
  const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
  const message = `the server speaks MCP ${theirs || "of no version"}, the gateway ${ours}`;
  return failed(linkFailure("protocol", message, "use a version of the server that speaks one of these"));
}

function failed(failure: LinkFailure): Judged {
  return { kind: "failed", failure };
}

/** Nothing came: only what cannot be about the message itself is the failure of the start. */
export function judgeFailure(failure: LinkFailure): Judged {
  const { kind, status = 0 } = failure;
  if (kind === "unreachable" || kind === "unauthorized" || kind === "overloaded") return failed(failure);
  const isAboutUs = status === 401 || status === 403 || (status >= 300 && status < 400);
  return kind === "refused" && isAboutUs ? failed(failure) : OLDER;
}

/** An error to `initialize` that a server gives which knows no such method. */
export function mayBeModern(reply: Reply): boolean {
  return (
    isError(reply) && (reply.error.code === METHOD_NOT_FOUND || reply.error.code === UNSUPPORTED_VERSION)
  );
}
