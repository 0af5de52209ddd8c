// Finds out whether a server speaks 2026-07-28, by the answer to `server/discover`. Other messages of the server are
// passed on during the probe.

import { safeLine } from "../../../../runtime/text/safe-line.ts";
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
  MISSING_CAPABILITY,
  MODERN_VERSION,
  UNSUPPORTED_VERSION,
} from "../../../protocol.ts";
import {
  type BackendTransport,
  type TransportFailure,
  transportFailure,
  unknownVersion,
} from "../backend-transport.ts";
import { modernCapabilities, modernParams, requestHeaders } from "./legacy-form.ts";

/** Time without an answer after which the server counts as a legacy one. */
const SILENT_MS = 2_000;

interface ProbeOptions {
  readonly transport: BackendTransport;
  readonly clock: Clock;
  readonly initialize: RpcRequest;
  readonly probeId: RpcId;
  /** Only 2026-07-28 is allowed, so the probe waits until the timeout of the start. */
  readonly isFixed: boolean;
  /** Null: the server did not answer. */
  readonly onFound: (judged: Judged | null) => void;
}

export class Probe implements Disposable {
  readonly #options: ProbeOptions;
  #timer: Timer | null = null;
  #over = false;

  constructor(options: ProbeOptions) {
    const { transport, clock, probeId, isFixed } = options;
    this.#options = options;
    this.#send();
    if (isFixed) return;
    this.#timer = clock.setTimer(SILENT_MS, () => {
      transport.stateless?.abandon(probeId);
      this.#find(null);
    });
  }

  /** True if the message answers the probe. */
  take(message: unknown): boolean {
    const classified = classifyMessage(message);
    const isOurs = classified.kind === "response" && classified.id === this.#options.probeId;
    if (this.#over || !isOurs) return false;
    this.#find(judgeReply(classified.reply));
    return true;
  }

  requestFailed(id: RpcId, failure: TransportFailure): boolean {
    if (this.#over || id !== this.#options.probeId) return false;
    this.#find(judgeFailure(failure));
    return true;
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
  }

  #send(): void {
    const { transport, initialize, probeId } = this.#options;
    const { clientInfo, capabilities, _meta } = initialize.params ?? {};
    const params = modernParams(_meta === undefined ? undefined : { _meta }, {
      clientInfo,
      capabilities: modernCapabilities(isJsonObject(capabilities) ? capabilities : {}),
      logLevel: null,
    });
    const method = "server/discover";
    const message: RpcRequest = { jsonrpc: "2.0", id: probeId, method, params };
    if (transport.stateless === undefined) transport.send(message);
    else transport.stateless.send(message, requestHeaders(method, params, []));
  }

  #find(judged: Judged | null): void {
    this[Symbol.dispose]();
    this.#options.onFound(judged);
  }
}

// Judges the answer to `server/discover`. Pure.

export type Judged =
  | { readonly kind: "modern"; readonly discovered: JsonObject }
  /** Perhaps a legacy server; its answer to `initialize` will show. */
  | { readonly kind: "legacy" }
  | { readonly kind: "failed"; readonly failure: TransportFailure };

/** The server has refused the version that it spoke before. */
export const OTHER_VERSION = transportFailure(
  "session_lost",
  "the server speaks another version of MCP than before",
);

const LEGACY: Judged = { kind: "legacy" };
const LONGEST = 300;

export function judgeReply(reply: Reply): Judged {
  if (!isError(reply)) {
    const { supportedVersions } = reply.result;
    return Array.isArray(supportedVersions) ? bySupported(supportedVersions, reply.result) : LEGACY;
  }
  const { code, message, data } = reply.error;
  if (code === UNSUPPORTED_VERSION) {
    const supported = isJsonObject(data) ? data["supported"] : undefined;
    return Array.isArray(supported) ? bySupported(supported, null) : LEGACY;
  }
  if (code !== HEADER_MISMATCH && code !== MISSING_CAPABILITY) return LEGACY;
  const reason = safeLine(message, LONGEST);
  return failed(transportFailure("protocol", `server/discover was answered with error ${code}: ${reason}`));
}

function bySupported(supported: readonly unknown[], discovered: JsonObject | null): Judged {
  if (discovered !== null && supported.includes(MODERN_VERSION)) return { kind: "modern", discovered };
  if (supported.some(isProtocolVersion)) return LEGACY;
  return failed(unknownVersion(supported.filter((one) => typeof one === "string").join(", ")));
}

function failed(failure: TransportFailure): Judged {
  return { kind: "failed", failure };
}

/** Judges a failed probe. A failure that may be due to the message itself suggests a legacy server. */
export function judgeFailure(failure: TransportFailure): Judged {
  const { kind, status = 0 } = failure;
  if (kind === "unreachable" || kind === "unauthorized" || kind === "overloaded") return failed(failure);
  // Not 403: gateways that know a list of methods answer so, and take `initialize`.
  const isAboutUs = status === 401 || (status >= 300 && status < 400);
  return kind === "refused" && isAboutUs ? failed(failure) : LEGACY;
}

/** True if the error reply to `initialize` suggests a server without that method. */
export function mayBeModern(reply: Reply): boolean {
  return (
    isError(reply) && (reply.error.code === METHOD_NOT_FOUND || reply.error.code === UNSUPPORTED_VERSION)
  );
}
