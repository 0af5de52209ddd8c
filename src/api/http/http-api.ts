// The management API and the page at the gateway's address: authenticates each request, checks its rights and answers it.
// The table of operations says which operations there are.
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { BodyIntake } from "../../runtime/http/body-intake.ts";
import { WrongTokens } from "../../runtime/http/wrong-tokens.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { type Clock, isoTime, isoTimeOrNull, settledWithin } from "../../runtime/time/clock.ts";
import { MANAGE_PREFIX } from "../contract/contract.ts";
import { httpStatusOf } from "../operations/http-errors.ts";
import type { Rights } from "../operations/operation.ts";
import { type AskedOperation, type Control, findOperation } from "../operations/operations.ts";
import type { PageFiles } from "../page-files.ts";
import { createEventStreams, type EventStreams, type Events } from "../server/event-streams.ts";
import { createPerformer, type Performer } from "../server/performing.ts";
import type { Access } from "./access.ts";
import {
  answerFile,
  answerNothing,
  answerValue,
  type Exchange,
  refuse,
  setGuardingHeaders,
} from "./answers.ts";
import { type HeadRefusal, refusalOfHead, refusalOfOrigin } from "./head-guard.ts";
import { openApiDocument } from "./openapi.ts";
import { isOnLoopback, OwnerRights } from "./owner-rights.ts";

/** The path of the health check. The gateway, not this API, answers it, without authentication. */
const HEALTH_PATH = `${MANAGE_PREFIX}/health`;
const OPENAPI_PATH = `${MANAGE_PREFIX}/openapi.json`;
/** The path of the event stream in the OpenAPI document, and its path on the home's socket. */
const EVENT_PATHS: ReadonlySet<string> = new Set([
  `${MANAGE_PREFIX}/events`,
  `${MANAGE_PREFIX}/events/stream`,
]);
const SESSION_PATH = "/page/v1/session";
const OWNER_PATH = "/page/v1/owner";
const SIGN_IN_LIMIT_BYTES = 4 * 1024;
/** Limit for all request bodies that are being received at once. */
const BODIES_LIMIT_BYTES = 64 * 1024 * 1024;
/** How long a request waits for a daemon that took over the address and does not serve yet. */
const OPEN_WAIT_MS = 10_000;

/** The keys of `[server]` that this API reads. */
export interface HttpApiSettings {
  readonly isEnabled: boolean;
  readonly runsCommands: boolean;
  /** See `OwnNames`. */
  readonly host: string;
  readonly allowed: readonly string[];
}

interface HttpApiParts {
  /** A request for an absent operation is answered with 404. */
  readonly control: Partial<Control>;
  readonly events: Events | null;
  readonly access: Access;
  /** Read again for each request. */
  readonly settings: () => HttpApiSettings;
}

interface HttpApiOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** null: only the API is served. */
  readonly page: PageFiles | null;
}

/** The state between `open` and its disposal. */
interface Opened extends HttpApiParts {
  readonly streams: EventStreams | null;
  readonly performer: Performer;
  readonly stopping: AbortSignal;
}

/** How the sender signed in: with the token, or with the secret of a page session. */
type Visitor = "token" | { readonly secret: string; readonly untilMs: number };

export class HttpApi {
  /** The right to change what runs, as granted to single tabs of the page. */
  readonly owners: OwnerRights;
  readonly #options: HttpApiOptions;
  readonly #bodies: BodyIntake;
  readonly #wrong: WrongTokens;
  readonly #first = Promise.withResolvers<void>();
  /** Resolves when the next daemon serves; null while no handover is under way. */
  #moving: ReturnType<typeof Promise.withResolvers<void>> | null = null;
  #opened: Opened | null = null;

  constructor(options: HttpApiOptions) {
    this.#options = options;
    this.owners = new OwnerRights(options.clock);
    this.#bodies = new BodyIntake(options.clock, BODIES_LIMIT_BYTES);
    this.#wrong = new WrongTokens(options.clock);
  }

  /** Returns true if the path belongs to the API or the page: the request is then answered here. Never throws. */
  readonly take = (request: IncomingMessage, response: ServerResponse): boolean => {
    const [path = ""] = (request.url ?? "").split("?", 1);
    if (!isTaken(path)) return false;
    void this.#serve({ request, response }, path);
    return true;
  };

  /**
   * Starts to serve. Disposing ends streams and aborts requests in flight. Later requests get an error that
   * tells the client to retry; the retry reaches the next daemon.
   */
  open(parts: HttpApiParts): AsyncDisposable & { settled(): Promise<unknown> } {
    const { clock, logger } = this.#options;
    const { events } = parts;
    const stopping = new AbortController();
    const stack = createDisposalStack((error) =>
      logger.warn("the management API did not end cleanly", { reason: errorText(error) }),
    );
    const streams = events === null ? null : createEventStreams({ events, clock, logger });
    const performer = createPerformer({ clock, stopping: stopping.signal });
    this.#opened = { ...parts, streams, performer, stopping: stopping.signal };
    this.#first.resolve();
    // Reads the page's files before an upgrade in place can remove them. After a failure each request tries again.
    this.#options.page?.find("/").catch(() => {});
    stack.defer(async () => {
      stopping.abort(cutShort());
      streams?.end();
      this.#bodies[Symbol.dispose]();
      await parts.access.saved();
    });
    return {
      settled: () => performer.settled(),
      [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
    };
  }

  /** Call it when a handover begins. Requests that come after the disposal then wait for the next daemon. */
  handsOver(): void {
    this.#moving ??= Promise.withResolvers();
  }

  /**
   * Call it when the next daemon serves: requests on old connections are then redirected to the same path.
   */
  hasMoved(): void {
    this.#moving?.resolve();
  }

  async #serve(exchange: Exchange, path: string): Promise<void> {
    const { clock, logger } = this.#options;
    const { request, response } = exchange;
    response.on("error", () => response.destroy());
    setGuardingHeaders(response);
    const startedAtMs = clock.monotonicMs();
    try {
      await settledWithin(clock, OPEN_WAIT_MS, this.#first.promise);
      if (this.#opened !== null && !this.#opened.stopping.aborted)
        await this.#route(exchange, path, this.#opened);
      else await this.#sendOn(exchange);
    } catch (error) {
      this.#fail(exchange, error);
    } finally {
      logger.debug("management request over HTTP", {
        method: request.method,
        path,
        status: response.headersSent ? response.statusCode : null,
        tookMs: Math.round(clock.monotonicMs() - startedAtMs),
      });
    }
  }

  /**
   * Waits until the next daemon serves, and redirects to the same URL on a new connection. The request's body
   * was not read.
   */
  async #sendOn(exchange: Exchange): Promise<void> {
    const { clock } = this.#options;
    const moved = this.#moving?.promise ?? null;
    if (moved === null || !(await settledWithin(clock, OPEN_WAIT_MS, moved))) throw goingOn();
    const headers = { Location: exchange.request.url ?? "/", Connection: "close" };
    refuse(clock, exchange, 307, goingOn(), headers);
  }

  #fail(exchange: Exchange, thrown: unknown): void {
    const { clock, logger } = this.#options;
    const error =
      thrown instanceof MountaineerError ? thrown : new MountaineerError("internal", errorText(thrown));
    if (thrown !== error) {
      const stack = thrown instanceof Error ? thrown.stack : undefined;
      logger.error("management request failed", { error: errorText(thrown), stack });
    }
    const mayAskAgain = error.code === "daemon_unreachable" && error.retry === "later";
    refuse(clock, exchange, httpStatusOf(error), error, mayAskAgain ? { "Retry-After": "1" } : {});
  }

  async #route(exchange: Exchange, path: string, opened: Opened): Promise<void> {
    const { request } = exchange;
    const settings = opened.settings();
    if (!settings.isEnabled) {
      this.#refuse(exchange, 404, "nothing is served here; MCP is at /mcp");
      return;
    }
    const head = refusalOfHead(request, settings);
    const isApi = path === SESSION_PATH || path === OWNER_PATH || path.startsWith(`${MANAGE_PREFIX}/`);
    const refusal = head ?? (isApi ? refusalOfOrigin(request) : null);
    if (refusal !== null) this.#refuseHead(exchange, refusal);
    else if (path === SESSION_PATH) await this.#session(exchange, opened, settings);
    else if (path === OWNER_PATH) await this.#owner(exchange, opened);
    else if (isApi) await this.#manage(exchange, path, opened, settings);
    else await this.#page(exchange, path);
  }

  async #page(exchange: Exchange, path: string): Promise<void> {
    const { method } = exchange.request;
    const file = (await this.#options.page?.find(path)) ?? null;
    if (file === null) this.#refuse(exchange, 404, "there is no such page");
    else if (method !== "GET" && method !== "HEAD") this.#notAllowed(exchange, "GET, HEAD");
    else answerFile(exchange, file);
  }

  async #manage(exchange: Exchange, path: string, opened: Opened, settings: HttpApiSettings): Promise<void> {
    const { request } = exchange;
    const visitor = visitorOf(request, opened.access);
    if (visitor === null) await this.#turnAway(exchange);
    else if (EVENT_PATHS.has(path) && opened.streams !== null) {
      if (request.method === "GET") {
        const isSignedIn = opened.access.stillIn(visitor === "token" ? null : visitor.secret);
        const stillIn = (): boolean => isSignedIn() && isServed(request, opened.settings());
        opened.streams.serve(request, exchange.response, stillIn);
      } else this.#notAllowed(exchange, "GET");
    } else if (path === OPENAPI_PATH) {
      if (request.method === "GET") answerValue(exchange, openApiDocument());
      else this.#notAllowed(exchange, "GET");
    } else {
      const runsCommands = settings.runsCommands || this.#ownerUntilMs(request, visitor) !== null;
      const rights: Rights = { isOwner: false, runsCommands };
      await this.#operate(exchange, findOperation(path, opened.control, rights), opened);
    }
  }

  /** Handles a tab's request to get the right to change what runs, or to give this right back. */
  async #owner(exchange: Exchange, { access }: Opened): Promise<void> {
    const { request } = exchange;
    const visitor = visitorOf(request, access);
    if (visitor === null || visitor === "token") await this.#turnAway(exchange);
    else if (request.method === "DELETE") {
      this.owners.drop(visitor.secret);
      answerNothing(exchange);
    } else if (request.method !== "POST") this.#notAllowed(exchange, "POST, DELETE");
    else if (isOnLoopback(request)) answerValue(exchange, this.owners.ask(visitor.secret));
    else {
      throw new MountaineerError("owner_only", "only a browser on the daemon's own machine gets this right", {
        hint: "open the page by its address on 127.0.0.1, over SSH where you are elsewhere",
      });
    }
  }

  /** Returns when this tab loses the right to change what runs, Unix ms; null if the tab does not have the right. */
  #ownerUntilMs(request: IncomingMessage, visitor: Visitor): number | null {
    const right = request.headers["x-mountaineer-owner"];
    if (typeof right !== "string" || visitor === "token" || !isOnLoopback(request)) return null;
    return this.owners.heldUntilMs(visitor.secret, right);
  }

  async #operate(exchange: Exchange, operation: AskedOperation | null, opened: Opened): Promise<void> {
    const { request, response } = exchange;
    if (operation === null) {
      this.#refuse(exchange, 404, "no operation is served at this path");
      return;
    }
    if (request.method !== operation.method) {
      this.#notAllowed(exchange, operation.method);
      return;
    }
    const text = operation.method === "GET" ? "" : await this.#body(exchange, operation.bodyLimitBytes);
    if (text === null) return;
    if (opened.stopping.aborted) throw goingOn();
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort(new MountaineerError("aborted", "the client went away"));
    });
    const signal = AbortSignal.any([gone.signal, opened.stopping]);
    // Browsers ignore a 102 (Processing), so they get none.
    const isPatient = request.headers["sec-fetch-mode"] !== undefined;
    try {
      answerValue(exchange, await opened.performer.perform(operation, text, response, signal, isPatient));
    } catch (error) {
      if (!opened.stopping.aborted) throw error;
      // A GET changes nothing, so its error tells the client to retry.
      throw operation.method === "GET" ? goingOn() : opened.stopping.reason;
    }
  }

  /** Reads the request's body. null: the request was refused here, or its client closed the connection. */
  async #body(exchange: Exchange, limitBytes: number): Promise<string | null> {
    const { request, response } = exchange;
    const { headers } = request;
    const isEmpty =
      headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;
    if (isEmpty) return "";
    if (!/^application\/json\s*(;|$)/i.test(headers["content-type"] ?? "")) {
      this.#refuse(exchange, 415, "the Content-Type must be application/json");
      return null;
    }
    if ((headers["content-encoding"] ?? "identity") !== "identity") {
      this.#refuse(exchange, 415, "the body must not be compressed");
      return null;
    }
    const done = Promise.withResolvers<Parameters<Parameters<BodyIntake["receive"]>[0]["done"]>[0] | null>();
    response.once("close", () => done.resolve(null));
    const sender = request.socket.remoteAddress ?? "";
    this.#bodies.receive({ request, limitBytes, sender, done: done.resolve });
    const body = await done.promise;
    if (body === null) return null;
    if (body.kind === "whole") {
      if (isUtf8(body.bytes)) return body.bytes.toString("utf8");
      this.#refuse(exchange, 400, "the body is not UTF-8");
    } else if (body.kind === "too_large") {
      this.#refuse(exchange, 413, `the body is larger than ${limitBytes} bytes`);
    } else if (body.kind === "busy") {
      this.#refuse(exchange, 503, "too much is being received at once; try again", { "Retry-After": "1" });
    } else this.#refuse(exchange, 408, "the body comes too slowly", { Connection: "close" });
    return null;
  }

  async #session(exchange: Exchange, opened: Opened, settings: HttpApiSettings): Promise<void> {
    const { request } = exchange;
    const { method } = request;
    const { access } = opened;
    if (method === "GET") {
      const visitor = visitorOf(request, access);
      if (visitor === null || visitor === "token") await this.#turnAway(exchange);
      else {
        const ownerUntilMs = this.#ownerUntilMs(request, visitor);
        answerValue(exchange, sessionReport(visitor.untilMs, ownerUntilMs, settings));
      }
    } else if (method === "DELETE") {
      await access.signOut(bearerOf(request) ?? "");
      answerNothing(exchange);
    } else if (method === "POST") await this.#signIn(exchange, access, settings);
    else this.#notAllowed(exchange, "GET, POST, DELETE");
  }

  async #signIn(exchange: Exchange, access: Access, settings: HttpApiSettings): Promise<void> {
    const text = await this.#body(exchange, SIGN_IN_LIMIT_BYTES);
    if (text === null) return;
    const asked = readSignIn(text);
    const given = "link" in asked ? await access.redeem(asked.link) : await access.signIn(asked.token);
    if (given === null) await this.#turnAway(exchange);
    else answerValue(exchange, { session: given.secret, ...sessionReport(given.untilMs, null, settings) });
  }

  /** Answers 401; after several wrong tokens from one address the answer is delayed. */
  #turnAway(exchange: Exchange): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const error = new MountaineerError("not_signed_in", "a token or a session of the page is needed", {
      hint: "mountaineer open signs a browser in; mountaineer server-token makes a token",
    });
    this.#wrong.refuse(exchange.request.socket.remoteAddress ?? null, () => {
      // A challenge would make browsers open their own dialog for a name and password.
      const isBrowser = exchange.request.headers["sec-fetch-mode"] !== undefined;
      refuse(this.#options.clock, exchange, 401, error, isBrowser ? {} : { "WWW-Authenticate": "Bearer" });
      resolve();
    });
    return promise;
  }

  #refuseHead(exchange: Exchange, { status, message, hint }: HeadRefusal): void {
    const code = status === 403 ? "permission_denied" : "protocol";
    const error = new MountaineerError(code, message, { hint });
    refuse(this.#options.clock, exchange, status, error);
  }

  #refuse(exchange: Exchange, status: number, message: string, headers = {}): void {
    refuse(this.#options.clock, exchange, status, new MountaineerError("protocol", message), headers);
  }

  #notAllowed(exchange: Exchange, methods: string): void {
    this.#refuse(exchange, 405, `allowed here: ${methods}`, { Allow: methods });
  }
}

function isTaken(path: string): boolean {
  if (path === "/" || path.startsWith("/page/")) return true;
  return path.startsWith(`${MANAGE_PREFIX}/`) && path !== HEALTH_PATH && path !== `${HEALTH_PATH}/`;
}

/** True if the request would pass all checks but authentication under the current settings. */
function isServed(request: IncomingMessage, settings: HttpApiSettings): boolean {
  return settings.isEnabled && refusalOfHead(request, settings) === null;
}

/**
 * Who sent the request; null: nobody who is signed in. Cookies are ignored, because a browser sends the
 * cookies of a host to all of its ports.
 */
function visitorOf(request: IncomingMessage, access: Access): Visitor | null {
  const secret = bearerOf(request);
  if (secret === null) return null;
  if (access.isToken(secret)) return "token";
  const untilMs = access.session(secret);
  return untilMs === null ? null : { secret, untilMs };
}

function sessionReport(untilMs: number, ownerUntilMs: number | null, { runsCommands }: HttpApiSettings) {
  return {
    expires_at: isoTime(untilMs),
    may_run_commands: runsCommands || ownerUntilMs !== null,
    owner_until: isoTimeOrNull(ownerUntilMs),
  };
}

/** The error for a request that was not begun, so the client can retry it. */
function goingOn(): MountaineerError {
  return new MountaineerError("daemon_unreachable", "the daemon stops, or hands over; nothing was done", {
    retry: "later",
    hint: "ask again in a moment",
  });
}

/** The error for a request that was interrupted: a retry could perform the operation twice. */
function cutShort(): MountaineerError {
  const message = "the daemon ended before it was done; it is not known whether it took effect";
  return new MountaineerError("daemon_unreachable", message, {
    hint: "look at what is there before asking again",
  });
}

/** Reads the body of a sign-in. Throws `protocol` for an invalid one. */
function readSignIn(text: string) {
  const given = jsonObject(text);
  const { link, token } = given ?? {};
  const names = Object.keys(given ?? {});
  if (names.length === 1 && typeof link === "string") return { link };
  if (names.length === 1 && typeof token === "string") return { token };
  throw new MountaineerError("protocol", 'the body is not { "link": … } or { "token": … }');
}

/** The bearer secret of the Authorization header; null without one. */
function bearerOf({ headers }: IncomingMessage): string | null {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}
