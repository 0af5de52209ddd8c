// Requests for sessions that another machine of the fleet holds: they go there, and what it answers goes to the client. A
// request is never sent a second time.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { type Duplex, pipeline } from "node:stream";
import { dropOldest } from "../../../runtime/bounded-map.ts";
import { errorText } from "../../../runtime/errors.ts";
import { choice, list, object, optional, reader, textThat } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { BACKEND_UNAVAILABLE, INTERNAL_ERROR, isRpcId, type RpcId } from "../../json-rpc.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
import { holderOf, MOST_ROLES, proofOf, SHA256_HEX } from "../session/session-record.ts";
import type { Refusal } from "./answer.ts";
import { hostOf, pathOf } from "./request.ts";
import type { Exchange, Visit } from "./request-admission.ts";

/** Requests under way to other machines, streams on which clients listen among them. */
const MOST_FORWARDED = { ofOne: 512, ofAll: 1_024 };
/** Of their bodies what is not sent yet, bytes: of one principal, and of all. A single one may be longer. */
const MOST_UNSENT = { ofOne: 64 * 1024 * 1024, ofAll: 256 * 1024 * 1024 };
/** Of one principal, requests within `withinMs` for sessions that no machine has. */
const GUESSES = { most: 30, withinMs: 10_000 };
/** Sessions of other machines that are known to be there, and principals whose guesses are counted. */
const MOST_KNOWN = 4_096;
const MOST_COUNTED = 1_024;

/** Messages that are read here for their id: bytes. */
const LONGEST_READ = 64 * 1024;

/** Other machines with which the sessions of clients are shared. */
export interface SessionPeers {
  /** What this machine is called among them; null: sessions are shared with nobody. */
  readonly machine: string | null;
  shares(machine: string): boolean;
  /** A stream for one request, once that machine has taken it; null: it is not there. Never rejects. */
  reach(machine: string, signal: AbortSignal): Promise<Duplex | null>;
}

interface ForwardingOptions extends GatewayTools {
  /** As they are now; absent: sessions are shared with nobody. */
  readonly peers?: (() => SessionPeers) | undefined;
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
}

interface Forwarded {
  readonly visit: Visit;
  /** The client listens; nobody waits for its end. */
  readonly isListening: boolean;
  /** Of its body: bytes. */
  unsent: number;
}

/** One request, and where it goes. */
interface Message {
  readonly machine: string;
  readonly proof: string;
  /** Null: it is no single request, or one that is too large to be read here. */
  readonly rpcId: RpcId | null;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #underWay = new Set<Forwarded>();
  /** Proofs of sessions that are there, the newest last. */
  readonly #known = new Map<string, true>();
  readonly #guesses = new Map<string, { count: number; readonly sinceMs: number }>();
  #idle: PromiseWithResolvers<void> | null = null;
  #isLeaving = false;

  constructor(options: ForwardingOptions) {
    this.#options = options;
  }

  /** What this machine is called among those that share sessions; null: it shares none. */
  get machine(): string | null {
    return this.#options.peers?.().machine ?? null;
  }

  /** The other machine that holds the session of that id; null: there is none. */
  holder(id: string): string | null {
    const peers = this.#options.peers?.() ?? null;
    if (peers === null || peers.machine === null) return null;
    const machine = holderOf(id);
    return machine !== null && machine !== peers.machine && peers.shares(machine) ? machine : null;
  }

  /** Requests whose end somebody waits for. */
  get inFlight(): number {
    let count = 0;
    for (const { isListening } of this.#underWay) if (!isListening) count += 1;
    return count;
  }

  /** Answers it, sooner or later; never throws. */
  pass(visit: Visit, machine: string, id: string, body: Buffer | null): void {
    const message = { machine, proof: proofOf(id), rpcId: rpcIdOf(body) };
    const refusal =
      this.#tooMany(visit.principal, body?.length ?? 0) ??
      this.#tooManyGuesses(visit.principal, message.proof);
    if (refusal !== null) this.#options.refuse(visit, refusal);
    else this.#pass(visit, message, body).catch((error: unknown) => this.#failed(visit, error));
  }

  /** Streams on which clients listen end, so that they listen where they will be served from now on. */
  leave(): void {
    this.#isLeaving = true;
    for (const { visit, isListening } of [...this.#underWay]) {
      if (isListening && visit.response.headersSent) visit.response.end();
    }
  }

  /** What belongs to a token that was taken back ends. */
  endWithdrawn(served: Pick<ServingSet, "isWithdrawn">): void {
    for (const { visit } of [...this.#underWay]) {
      if (served.isWithdrawn(visit.principal)) visit.response.destroy();
    }
  }

  /** Waits `graceMs` at most for what is in flight, and ends the rest. */
  async end(graceMs: number): Promise<void> {
    this.leave();
    if (this.inFlight > 0 && graceMs > 0) {
      this.#idle ??= Promise.withResolvers();
      await settledWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    for (const { visit } of [...this.#underWay]) visit.response.destroy();
  }

  async #pass(visit: Visit, message: Message, body: Buffer | null): Promise<void> {
    const { response } = visit;
    const gone = new AbortController();
    const isListening = visit.request.method === "GET";
    const forwarded: Forwarded = { visit, isListening, unsent: body?.length ?? 0 };
    this.#underWay.add(forwarded);
    response.once("close", () => {
      this.#underWay.delete(forwarded);
      if (this.inFlight === 0) this.#idle?.resolve();
      gone.abort();
    });
    const stream = await this.#options.peers?.().reach(message.machine, gone.signal);
    if (stream === undefined || stream === null) {
      if (gone.signal.aborted) return;
      this.#guessed(visit.principal, message.proof);
      this.#options.refuse(visit, awayRefusal(message.machine));
      return;
    }
    // Its end is told to the other machine: what waits there for this client waits no more.
    gone.signal.addEventListener("abort", () => stream.destroy(), { once: true });
    if (gone.signal.aborted) stream.destroy();
    else this.#send(forwarded, message, body, stream);
  }

  #send(forwarded: Forwarded, message: Message, body: Buffer | null, stream: Duplex): void {
    const { visit } = forwarded;
    const { request: asked, principal } = visit;
    const { proof } = message;
    // Not imported: the module's ESM face evaluates lazy exports, and those load 16 MB of fetch and WebSocket.
    const { request: begin } = process.getBuiltinModule("node:http");
    const headers = forwardedHeaders(asked, principal, proof);
    if (body !== null) headers["content-length"] = body.length;
    const { method } = asked;
    const request: ClientRequest = begin({
      createConnection: () => stream,
      ...(method === undefined ? {} : { method }),
      path: pathOf(asked.url),
      headers,
      setHost: false,
    });
    let isAnswered = false;
    const broken = (): void => {
      stream.destroy();
      if (!isAnswered) this.#brokeOff(visit, message);
    };
    request.once("response", (answer) => {
      const { statusCode: status = 0 } = answer;
      if (status < 200 || status > 599) {
        broken();
        return;
      }
      isAnswered = true;
      this.#answer(visit, proof, status, answer);
    });
    request.once("finish", () => {
      forwarded.unsent = 0;
    });
    request.once("upgrade", broken);
    request.on("error", broken);
    request.end(body ?? undefined);
  }

  #answer(
    { request, response, principal }: Visit,
    proof: string,
    status: number,
    answer: IncomingMessage,
  ): void {
    if (response.destroyed) {
      answer.destroy();
      response.destroy();
      return;
    }
    if (status === 404) this.#guessed(principal, proof);
    else this.#isThere(proof);
    response.writeHead(status, passedBack(answer.headers));
    response.flushHeaders();
    if (request.method === "GET" && this.#isLeaving) {
      answer.destroy();
      response.end();
      return;
    }
    // Either of them that breaks ends the other one: what is not whole must not look so.
    pipeline(answer, response, () => {});
  }

  /** A mistake of ours costs its request, and nothing else. */
  #failed(visit: Visit, error: unknown): void {
    this.#options.logger.error("a request was not passed on", { error: errorText(error) });
    if (visit.response.headersSent) visit.response.destroy();
    else this.#options.refuse(visit, { status: 500, code: INTERNAL_ERROR, message: "internal error" });
  }

  /** The other machine is gone, and may have got the message. */
  #brokeOff(visit: Visit, { machine, rpcId }: Message): void {
    const { response, request } = visit;
    if (response.destroyed || response.headersSent) return;
    this.#options.refuse(
      visit,
      request.method === "POST" ? lostRefusal(machine, rpcId) : awayRefusal(machine),
    );
  }

  #tooMany(principal: Principal, bytes: number): Refusal | null {
    const key = principalKey(principal);
    const all = [...this.#underWay];
    const own = all.filter(({ visit }) => principalKey(visit.principal) === key);
    const isOver =
      own.length >= MOST_FORWARDED.ofOne ||
      all.length >= MOST_FORWARDED.ofAll ||
      isTooMuch(own, bytes, MOST_UNSENT.ofOne) ||
      isTooMuch(all, bytes, MOST_UNSENT.ofAll);
    const message = "too many requests go to other machines at once; try again in 1 s";
    return isOver ? { status: 503, message, headers: { "Retry-After": "1" } } : null;
  }

  /** Of who makes up ids: each costs two machines a message. */
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
    dropOldest(this.#guesses, MOST_COUNTED);
  }

  #isThere(proof: string): void {
    this.#known.delete(proof);
    this.#known.set(proof, true);
    dropOldest(this.#known, MOST_KNOWN);
  }
}

function isTooMuch(forwarded: readonly Forwarded[], bytes: number, most: number): boolean {
  const unsent = forwarded.reduce((sum, one) => sum + one.unsent, 0);
  return bytes > 0 && unsent > 0 && unsent + bytes > most;
}

function awayRefusal(machine: string): Refusal {
  return {
    status: 404,
    message: `the gateway that held this session (${machine}) is away; initialize anew`,
  };
}

function lostRefusal(machine: string, id: RpcId | null): Refusal {
  return {
    status: 502,
    code: BACKEND_UNAVAILABLE,
    id,
    message: `the gateway that holds this session (${machine}) broke off; it is not known whether the message took effect. If it is still away, the next request is asked to initialize anew`,
  };
}

function rpcIdOf(body: Buffer | null): RpcId | null {
  if (body === null || body.length > LONGEST_READ) return null;
  const id = jsonObject(body.toString("utf8"))?.["id"];
  return isRpcId(id) ? id : null;
}

// The head of a request that one machine of the fleet brings to another one: what of the client's own head goes along, what
// stands for its session's id, and who the client is. No token is ever in it.

/** What passes of a request, beside what stands here for its session and its sender. */
const REQUEST_HEADERS = [
  "accept",
  "content-type",
  "last-event-id",
  "mcp-protocol-version",
  "traceparent",
  "tracestate",
] as const;
const RESPONSE_HEADERS = [
  "allow",
  "cache-control",
  "content-length",
  "content-type",
  "retry-after",
  "www-authenticate",
  "x-accel-buffering",
] as const;
const PROOF_HEADER = "mountaineer-session";
const CALLER_HEADER = "mountaineer-caller";
/** Of one text that says who somebody is. */
const LONGEST_NAME = 1_024;
/** Of the whole, encoded. */
const LONGEST_CALLER = 32 * 1024;

/** More than a client's own head may have, as it also says who the client is: bytes. */
export const LONGEST_HEAD = 64 * 1024;

export function forwardedHeaders(
  request: IncomingMessage,
  { kind, id, subject, name, roles }: Principal,
  proof: string,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { host: hostOf(request) ?? "localhost", connection: "close" };
  for (const header of REQUEST_HEADERS) {
    const value: unknown = request.headers[header];
    if (typeof value === "string") headers[header] = value;
  }
  headers[PROOF_HEADER] = proof;
  const caller = JSON.stringify({ kind, id, subject, name, roles });
  headers[CALLER_HEADER] = Buffer.from(caller).toString("base64url");
  return headers;
}

/** Null: it is none. */
export function readForwarded(
  headers: IncomingHttpHeaders,
): { readonly proof: string; readonly caller: Principal } | null {
  const { [PROOF_HEADER]: proof, [CALLER_HEADER]: text } = headers;
  if (typeof proof !== "string" || !SHA256_HEX.test(proof)) return null;
  if (typeof text !== "string" || text.length > LONGEST_CALLER) return null;
  const caller = readCaller(Buffer.from(text, "base64url").toString("utf8"));
  return caller === null ? null : { proof, caller };
}

const nameShape = textThat("a name", (name) => name.length <= LONGEST_NAME && !/\p{Cc}/u.test(name));
/** Only who comes over the network can come by way of another machine. */
const callerOf = reader(
  object({
    kind: choice("anonymous", "user"),
    id: optional(nameShape),
    subject: optional(nameShape),
    name: nameShape,
    roles: list(nameShape, MOST_ROLES),
  }),
);

function readCaller(said: string): Principal | null {
  const caller = callerOf(jsonObject(said));
  // Who has no token was signed by nobody.
  const isStrange = caller?.kind === "anonymous" && (caller.id !== undefined || caller.subject !== undefined);
  return isStrange ? null : caller;
}

/** What of another machine's response is the client's. */
function passedBack(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const passed: OutgoingHttpHeaders = {};
  for (const header of RESPONSE_HEADERS) {
    const value: unknown = headers[header];
    if (typeof value === "string") passed[header] = value;
  }
  return passed;
}
