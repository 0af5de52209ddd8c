// Forwards requests for sessions that another machine of the fleet holds, and the answers to the client. A request is
// never sent twice.
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { type Duplex, pipeline } from "node:stream";
import { dropOldest } from "../../../runtime/bounded-map.ts";
import { errorText } from "../../../runtime/errors.ts";
import { choice, list, object, optional, reader, textThat } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-handle.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { BACKEND_UNAVAILABLE, INTERNAL_ERROR, isRpcId, type RpcId } from "../../json-rpc.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
import { MOST_ROLES, machineOf, proofOf, SHA256_HEX } from "../session/session-record.ts";
import type { Refusal } from "./answer.ts";
import { type AuthenticatedRequest, type Exchange, hostOf, pathOf } from "./request.ts";

/** Maximum number of forwarded requests in flight, of one principal and of all; open listening streams count. */
const MOST_FORWARDED = { ofOne: 512, ofAll: 1_024 };
/**
 * Maximum size of all bodies that are not sent yet, bytes: those of one principal, and those of all principals. A
 * single body may be larger.
 */
const MOST_UNSENT = { ofOne: 64 * 1024 * 1024, ofAll: 256 * 1024 * 1024 };
/** Maximum number of requests of one principal within `withinMs` for sessions that do not exist. */
const GUESSES = { most: 30, withinMs: 10_000 };
/** Bounds of `#known` and of `#guesses`. */
const MOST_KNOWN = 4_096;
const MOST_GUESSERS = 1_024;

/** Longest message that is parsed for its id, bytes. */
const LONGEST_PARSED = 64 * 1024;

/** The other machines that share sessions with this one. */
export interface SessionPeers {
  /** This machine's name in the fleet; null: no sessions are shared. */
  readonly machine: string | null;
  shares(machine: string): boolean;
  /**
   * Opens a stream to `machine` for one request; resolves once the machine has accepted the stream. Null: the machine
   * is away. Never rejects.
   */
  connect(machine: string, signal: AbortSignal): Promise<Duplex | null>;
}

interface ForwardingOptions extends GatewayTools {
  /** Absent: no sessions are shared. */
  readonly peers?: (() => SessionPeers) | undefined;
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
}

interface Forwarded {
  readonly authenticated: AuthenticatedRequest;
  /** The request opens a listening stream, so its end is not waited for. */
  readonly isListening: boolean;
  /** Bytes of the body that are not sent yet. */
  unsent: number;
}

/** The requests in flight of one principal, or of all. */
interface Load {
  requests: number;
  /** Bytes of all bodies that are not sent yet. */
  unsent: number;
}

interface Message {
  readonly machine: string;
  readonly proof: string;
  /** Null: the body is not a single request, or is too large to be parsed for its id. */
  readonly rpcId: RpcId | null;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #inFlight = new Set<Forwarded>();
  readonly #all: Load = { requests: 0, unsent: 0 };
  /** By `principalKey`; each principal with requests in flight. */
  readonly #own = new Map<string, Load>();
  /** Sessions that are known to be on other machines, each by its proof (`proofOf`); the newest last. */
  readonly #known = new Map<string, true>();
  readonly #guesses = new Map<string, { count: number; readonly sinceMs: number }>();
  #idle: PromiseWithResolvers<void> | null = null;
  #isDraining = false;

  constructor(options: ForwardingOptions) {
    this.#options = options;
  }

  get machine(): string | null {
    return this.#options.peers?.().machine ?? null;
  }

  /** The other machine that holds the session; null: this machine, or a machine that shares no sessions. */
  holder(id: string): string | null {
    const peers = this.#options.peers?.();
    if (peers === undefined || peers.machine === null) return null;
    const machine = machineOf(id);
    return machine !== null && machine !== peers.machine && peers.shares(machine) ? machine : null;
  }

  /** Number of requests in flight, without listening streams. */
  get inFlight(): number {
    return [...this.#inFlight].filter(({ isListening }) => !isListening).length;
  }

  /** Forwards the request to `machine`, and the answer to the client. Never throws. */
  pass(authenticated: AuthenticatedRequest, machine: string, id: string, body: Buffer | null): void {
    const message = { machine, proof: proofOf(id), rpcId: rpcIdOf(body) };
    const refusal =
      this.#tooMany(authenticated.principal, body?.length ?? 0) ??
      this.#tooManyGuesses(authenticated.principal, message.proof);
    if (refusal !== null) this.#options.refuse(authenticated, refusal);
    else
      this.#pass(authenticated, message, body).catch((error: unknown) => this.#failed(authenticated, error));
  }

  /** Ends listening streams; their clients then open new ones at the next daemon. */
  leave(): void {
    this.#isDraining = true;
    for (const { authenticated, isListening } of this.#inFlight) {
      if (isListening && authenticated.response.headersSent) authenticated.response.end();
    }
  }

  /** Ends the requests of revoked tokens. */
  endWithdrawn(served: Pick<ServingSet, "isWithdrawn">): void {
    for (const { authenticated } of [...this.#inFlight]) {
      if (served.isWithdrawn(authenticated.principal)) authenticated.response.destroy();
    }
  }

  /** Waits `graceMs` at most for requests in flight, and ends the rest. */
  async end(graceMs: number): Promise<void> {
    this.leave();
    if (this.inFlight > 0 && graceMs > 0) {
      this.#idle ??= Promise.withResolvers();
      await settlesWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    for (const { authenticated } of [...this.#inFlight]) authenticated.response.destroy();
  }

  async #pass(authenticated: AuthenticatedRequest, message: Message, body: Buffer | null): Promise<void> {
    const { response } = authenticated;
    const gone = new AbortController();
    const isListening = authenticated.request.method === "GET";
    const forwarded: Forwarded = { authenticated, isListening, unsent: 0 };
    this.#inFlight.add(forwarded);
    this.#count(forwarded, 1, body?.length ?? 0);
    response.once("close", () => {
      this.#inFlight.delete(forwarded);
      this.#count(forwarded, -1, 0);
      if (this.#idle !== null && this.inFlight === 0) this.#idle.resolve();
      gone.abort();
    });
    const stream = await this.#options.peers?.().connect(message.machine, gone.signal);
    if (stream === undefined || stream === null) {
      if (gone.signal.aborted) return;
      this.#guessed(authenticated.principal, message.proof);
      this.#options.refuse(authenticated, unreachableRefusal(message.machine));
      return;
    }
    // The end of the stream makes the other machine cancel its work for the client.
    gone.signal.addEventListener("abort", () => stream.destroy(), { once: true });
    if (gone.signal.aborted) stream.destroy();
    else this.#send(forwarded, message, body, stream);
  }

  #send(forwarded: Forwarded, message: Message, body: Buffer | null, stream: Duplex): void {
    const { authenticated } = forwarded;
    const { principal } = authenticated;
    const { method = "GET", url } = authenticated.request;
    const { proof } = message;
    // Not imported: that would also load 16 MB of fetch and WebSocket.
    const http = process.getBuiltinModule("node:http");
    const headers = forwardedHeaders(authenticated.request, principal, proof);
    const request = http.request({
      createConnection: () => stream,
      method,
      path: pathOf(url),
      headers,
      setHost: false,
    });
    const broken = (): void => {
      stream.destroy();
      this.#brokeOff(authenticated, message);
    };
    request.once("response", (answer) => {
      const { statusCode: status = 0 } = answer;
      if (status < 200 || status > 599) {
        broken();
        return;
      }
      this.#answer(authenticated, proof, status, answer);
    });
    request.once("finish", () => this.#count(forwarded, 0, 0));
    request.once("upgrade", broken);
    request.on("error", broken);
    request.end(body ?? undefined);
  }

  #answer(
    { request, response, principal }: AuthenticatedRequest,
    proof: string,
    status: number,
    answer: IncomingMessage,
  ) {
    if (response.destroyed) {
      answer.destroy();
      response.destroy();
      return;
    }
    if (status === 404) this.#guessed(principal, proof);
    else this.#isThere(proof);
    response.writeHead(status, only(answer.headers, RESPONSE_HEADERS));
    response.flushHeaders();
    if (request.method === "GET" && this.#isDraining) {
      answer.destroy();
      response.end();
      return;
    }
    // If one of the two streams breaks, `pipeline` destroys the other, because half an answer must not look complete.
    pipeline(answer, response, () => {});
  }

  #failed(authenticated: AuthenticatedRequest, error: unknown): void {
    this.#options.logger.error("a request was not passed on", { error: errorText(error) });
    if (authenticated.response.headersSent) authenticated.response.destroy();
    else
      this.#options.refuse(authenticated, { status: 500, code: INTERNAL_ERROR, message: "internal error" });
  }

  /** The connection to the other machine broke before the answer; that machine may have received the message. */
  #brokeOff(authenticated: AuthenticatedRequest, { machine, rpcId }: Message): void {
    const { response, request } = authenticated;
    if (response.destroyed || response.headersSent) return;
    this.#options.refuse(
      authenticated,
      request.method === "POST" ? lostRefusal(machine, rpcId) : unreachableRefusal(machine),
    );
  }

  #tooMany(principal: Principal, bytes: number): Refusal | null {
    const own = this.#own.get(principalKey(principal));
    const isOver =
      (own?.requests ?? 0) >= MOST_FORWARDED.ofOne ||
      this.#all.requests >= MOST_FORWARDED.ofAll ||
      isTooMuch(own?.unsent ?? 0, bytes, MOST_UNSENT.ofOne) ||
      isTooMuch(this.#all.unsent, bytes, MOST_UNSENT.ofAll);
    const message = "too many requests go to other machines at once; try again in 1 s";
    return isOver ? { status: 503, message, headers: { "Retry-After": "1" } } : null;
  }

  /** Counts the request, or no longer; `unsent`: the bytes of its body that are not sent now. */
  #count(forwarded: Forwarded, requests: 1 | 0 | -1, unsent: number): void {
    const key = principalKey(forwarded.authenticated.principal);
    const own = this.#own.get(key) ?? { requests: 0, unsent: 0 };
    for (const load of [own, this.#all]) {
      load.requests += requests;
      load.unsent += unsent - forwarded.unsent;
    }
    forwarded.unsent = unsent;
    if (own.requests === 0) this.#own.delete(key);
    else this.#own.set(key, own);
  }

  /** Limits requests with made-up ids, because each of them makes two machines exchange a message. */
  #tooManyGuesses(principal: Principal, proof: string): Refusal | null {
    if (this.#known.has(proof) || this.#guessesOf(principal) < GUESSES.most) return null;
    const message = "too many sessions were asked for that are not there; try again in 10 s";
    return { status: 429, message, headers: { "Retry-After": "10" } };
  }

  #guessesOf(principal: Principal): number {
    const guesses = this.#guesses.get(principalKey(principal));
    const nowMs = this.#options.clock.monotonicMs();
    return guesses === undefined || nowMs - guesses.sinceMs >= GUESSES.withinMs ? 0 : guesses.count;
  }

  #guessed(principal: Principal, proof: string): void {
    if (this.#known.delete(proof)) return;
    const count = this.#guessesOf(principal) + 1;
    const key = principalKey(principal);
    const before = count === 1 ? undefined : this.#guesses.get(key);
    this.#guesses.delete(key);
    this.#guesses.set(key, { count, sinceMs: before?.sinceMs ?? this.#options.clock.monotonicMs() });
    dropOldest(this.#guesses, MOST_GUESSERS);
  }

  #isThere(proof: string): void {
    this.#known.delete(proof);
    this.#known.set(proof, true);
    dropOldest(this.#known, MOST_KNOWN);
  }
}

function isTooMuch(unsent: number, bytes: number, most: number): boolean {
  return bytes > 0 && unsent > 0 && unsent + bytes > most;
}

function unreachableRefusal(machine: string): Refusal {
  return {
    status: 404,
    message: `the gateway with this session (${machine}) is away; initialize again`,
  };
}

function lostRefusal(machine: string, id: RpcId | null): Refusal {
  return {
    status: 502,
    code: BACKEND_UNAVAILABLE,
    id,
    message: `the gateway with this session (${machine}) broke off; it is not known whether the message took effect. If it is still away, the next request is asked to initialize again`,
  };
}

function rpcIdOf(body: Buffer | null): RpcId | null {
  if (body === null || body.length > LONGEST_PARSED) return null;
  const id = jsonObject(body.toString("utf8"))?.["id"];
  return isRpcId(id) ? id : null;
}

// The head of a request between machines. It names the client's principal, and has a proof in place of the session's
// id. It never contains a token.

/** Headers of the client's request that are forwarded. */
const REQUEST_HEADERS = [
  "accept",
  "content-type",
  "last-event-id",
  "mcp-protocol-version",
  "traceparent",
  "tracestate",
];
/** Headers of the other machine's response that the client gets. */
const RESPONSE_HEADERS = [
  "allow",
  "cache-control",
  "content-length",
  "content-type",
  "retry-after",
  "www-authenticate",
  "x-accel-buffering",
];
const PROOF_HEADER = "mountaineer-session";
const CALLER_HEADER = "mountaineer-caller";
/** Maximum length of each name of a principal. */
const LONGEST_NAME = 1_024;
/** Maximum length of the encoded principal. */
const LONGEST_CALLER = 32 * 1024;

/**
 * Maximum bytes of the head of a forwarded request. Exceeds the limit for a client's request, because a forwarded
 * head also contains the principal.
 */
export const LONGEST_HEAD = 64 * 1024;

export function forwardedHeaders(
  request: IncomingMessage,
  { kind, id, subject, name, roles }: Principal,
  proof: string,
): OutgoingHttpHeaders {
  const caller = JSON.stringify({ kind, id, subject, name, roles });
  return {
    ...only(request.headers, REQUEST_HEADERS),
    host: hostOf(request) ?? "localhost",
    connection: "close",
    [PROOF_HEADER]: proof,
    [CALLER_HEADER]: Buffer.from(caller).toString("base64url"),
  };
}

/** Null: the head is not one of a forwarded request. */
export function readForwarded(headers: IncomingHttpHeaders) {
  const { [PROOF_HEADER]: proof, [CALLER_HEADER]: text } = headers;
  if (typeof proof !== "string" || !SHA256_HEX.test(proof)) return null;
  if (typeof text !== "string" || text.length > LONGEST_CALLER) return null;
  const caller = readCaller(Buffer.from(text, "base64url").toString("utf8"));
  return caller === null ? null : { proof, caller };
}

const nameShape = textThat("a name", (name) => name.length <= LONGEST_NAME && !/\p{Cc}/u.test(name));
/** A caller of kind `owner` is refused: only requests of network clients are forwarded. */
const callerOf = reader(
  object({
    kind: choice("anonymous", "user"),
    id: optional(nameShape),
    subject: optional(nameShape),
    name: nameShape,
    roles: list(nameShape, MOST_ROLES),
  }),
);

function readCaller(header: string): Principal | null {
  const caller = callerOf(jsonObject(header));
  // An anonymous client has no signed token.
  const isInvalid = caller?.kind === "anonymous" && (caller.id !== undefined || caller.subject !== undefined);
  return isInvalid ? null : caller;
}

function only(headers: IncomingHttpHeaders, names: readonly string[]): OutgoingHttpHeaders {
  const selected: OutgoingHttpHeaders = {};
  for (const name of names) {
    const value: unknown = headers[name];
    if (typeof value === "string") selected[name] = value;
  }
  return selected;
}
