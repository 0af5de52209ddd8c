// The management API and the page at the gateway's address: the guard of its visitors, their sign-in, and the page's files.
import type { IncomingMessage, ServerResponse } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { BodyIntake, type ReceivedBody } from "../../runtime/http/body-intake.ts";
import { senderNetwork } from "../../runtime/http/sender-network.ts";
import { WrongTokens } from "../../runtime/http/wrong-tokens.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isoTime, isoTimeOrNull, settlesWithin } from "../../runtime/time/clock.ts";
import { MANAGE_PREFIX } from "../contract/contract.ts";
import type { Rights } from "../operations/operation.ts";
import type { Control } from "../operations/operations.ts";
import type { PageFiles } from "../page-files.ts";
import {
  answerNothing,
  answerValue,
  type Exchange,
  pathOf,
  Refusal,
  refusal,
  requireMethod,
  serveRequest,
  tooLarge,
} from "../server/answers.ts";
import type { Events } from "../server/event-streams.ts";
import { ApiHandler, isOfBrowser } from "../server/handler.ts";
import { notBegun } from "../server/performing.ts";
import type { Access } from "./access.ts";
import { requireHead, requireOwnOrigin } from "./head-guard.ts";
import { isOnLoopback, OwnerRights } from "./owner-rights.ts";
import { answerFile, GUARDING_HEADERS } from "./page-answers.ts";

/** The path of the health check. The gateway, not this API, answers it, without authentication. */
const HEALTH_PATH = `${MANAGE_PREFIX}/health`;
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
  /** Whether the home has no server, share, secret and pending approval yet. */
  readonly isNewHome: () => Promise<boolean>;
}

interface HttpApiOptions extends RuntimeTools {
  /** null: only the API is served. */
  readonly page: PageFiles | null;
}

/** The state between `open` and its disposal. */
interface Opened extends HttpApiParts {
  readonly handler: ApiHandler;
}

/** A session of the page. */
interface Session {
  readonly secret: string;
  readonly untilMs: number;
}

/** How the sender signed in. */
type Visitor = "token" | Session;

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
    const path = pathOf(request);
    if (!isTaken(path)) return false;
    void this.#serve({ request, response }, path);
    return true;
  };

  /**
   * Starts to serve. Disposing ends streams and aborts requests in flight. Later requests get an error that
   * tells the client to retry; the retry reaches the next daemon.
   */
  open(parts: HttpApiParts): AsyncDisposable & { whenIdle(): Promise<unknown> } {
    const { clock, logger } = this.#options;
    const { control, events, access } = parts;
    const handler = new ApiHandler({ control, events, clock, logger });
    this.#opened = { ...parts, handler };
    this.#first.resolve();
    // Reads the page's files before an upgrade in place can remove them. After a failure each request tries again.
    this.#options.page?.find("/").catch(() => {});
    return {
      whenIdle: () => handler.whenIdle(),
      [Symbol.asyncDispose]: () => {
        handler.stop();
        this.#bodies[Symbol.dispose]();
        return access.saved();
      },
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
    const { clock } = this.#options;
    const { response } = exchange;
    response.on("error", () => response.destroy());
    response.setHeaders(GUARDING_HEADERS);
    await serveRequest(this.#options, exchange, async () => {
      await settlesWithin(clock, OPEN_WAIT_MS, this.#first.promise);
      if (this.#opened?.handler.isStopping === false) await this.#route(exchange, path, this.#opened);
      else await this.#sendOn(exchange);
    });
  }

  /**
   * Waits until the next daemon serves, and redirects to the same URL on a new connection. The request's body
   * was not read.
   */
  async #sendOn({ request }: Exchange): Promise<never> {
    const moved = this.#moving?.promise ?? null;
    const hasMoved = moved !== null && (await settlesWithin(this.#options.clock, OPEN_WAIT_MS, moved));
    if (!hasMoved) throw notBegun();
    throw new Refusal(307, notBegun(), { Location: request.url ?? "/", Connection: "close" });
  }

  async #route(exchange: Exchange, path: string, opened: Opened): Promise<void> {
    const { request } = exchange;
    requireServed(request, opened.settings());
    const isOfApi = path.startsWith(`${MANAGE_PREFIX}/`);
    if (isOfApi || path === SESSION_PATH || path === OWNER_PATH) requireOwnOrigin(request);
    if (path === SESSION_PATH) await this.#session(exchange, opened);
    else if (path === OWNER_PATH) await this.#owner(exchange, opened);
    else if (isOfApi) {
      await this.#requireVisitor(request, opened);
      await opened.handler.answer(exchange, path, {
        receive: (limitBytes) => this.#receive(exchange, limitBytes),
        admit: () => this.#rightsOf(request, opened),
      });
    } else await this.#page(exchange, path);
  }

  async #page(exchange: Exchange, path: string): Promise<void> {
    const file = (await this.#options.page?.find(path)) ?? null;
    if (file === null) throw refusal(404, "there is no such page");
    requireMethod(exchange.request, "GET", "HEAD");
    answerFile(exchange, file);
  }

  /** The sender's rights under the current settings. Throws a refusal if the sender is no longer signed in. */
  #rightsOf(request: IncomingMessage, { access, settings }: Opened): Rights {
    const { runsCommands, ...served } = settings();
    requireServed(request, served);
    const visitor = visitorOf(request, access);
    if (visitor === null) throw notSignedIn(request);
    const isOwnersTab = this.#usesOwnerRight(request, visitor);
    return { isOwner: false, runsCommands: runsCommands || isOwnersTab, isOwnersTab };
  }

  /** Rejects with the refusal of who is not signed in; after several wrong tokens from one address, only later. */
  async #requireVisitor(request: IncomingMessage, { access }: Opened): Promise<Visitor> {
    return visitorOf(request, access) ?? (await this.#refuse(request));
  }

  async #requireSession(request: IncomingMessage, opened: Opened): Promise<Session> {
    const visitor = await this.#requireVisitor(request, opened);
    return visitor === "token" ? this.#refuse(request) : visitor;
  }

  async #refuse(request: IncomingMessage): Promise<never> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wrong.refuse(request.socket.remoteAddress ?? null, resolve);
    await promise;
    throw notSignedIn(request);
  }

  /** Handles a tab's request for the right to change what runs, with or without a terminal's code, or to give it back. */
  async #owner(exchange: Exchange, opened: Opened): Promise<void> {
    const { request } = exchange;
    const { secret } = await this.#requireSession(request, opened);
    requireMethod(request, "POST", "DELETE");
    if (request.method === "DELETE") {
      this.owners.drop(secret);
      answerNothing(exchange);
    } else if (isOnLoopback(request)) {
      const body = await this.#receive(exchange, SIGN_IN_LIMIT_BYTES);
      if (body === null) return;
      const { code } = jsonObject(body.toString("utf8")) ?? {};
      answerValue(
        exchange,
        typeof code === "string" ? this.owners.take(secret, code) : this.owners.request(secret),
      );
    } else {
      throw new MountaineerError("owner_only", "only a browser on the daemon's own machine gets this right", {
        hint: "open the page by its address on 127.0.0.1, over SSH if you are elsewhere",
      });
    }
  }

  /** Returns when this tab loses the right to change what runs, Unix ms; null if the tab does not have the right. */
  #ownerUntilMs(request: IncomingMessage, session: Session): number | null {
    const right = ownerRightOf(request);
    return right === null ? null : this.owners.expiresAtMs(session.secret, right);
  }

  /** The page also reads while it is left open, so reading does not extend the right. */
  #usesOwnerRight(request: IncomingMessage, visitor: Visitor): boolean {
    const right = ownerRightOf(request);
    if (right === null || visitor === "token") return false;
    return request.method === "GET"
      ? this.owners.expiresAtMs(visitor.secret, right) !== null
      : this.owners.use(visitor.secret, right);
  }

  async #receive({ request, response }: Exchange, limitBytes: number): Promise<Buffer | null> {
    const { headers } = request;
    const isEmpty =
      headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;
    if (isEmpty) return Buffer.alloc(0);
    // A page of another site could send other types without being asked whether it may.
    if (!/^application\/json\s*(;|$)/i.test(headers["content-type"] ?? ""))
      throw refusal(415, "the Content-Type must be application/json");
    if ((headers["content-encoding"] ?? "identity") !== "identity")
      throw refusal(415, "the body must not be compressed");
    const done = Promise.withResolvers<ReceivedBody | null>();
    response.once("close", () => done.resolve(null));
    const sender = senderNetwork(request.socket.remoteAddress ?? "");
    this.#bodies.receive({ request, limitBytes, sender, done: done.resolve });
    const body = await done.promise;
    if (body === null) return null;
    if (body.kind === "whole") return body.bytes;
    if (body.kind === "too_large") throw tooLarge(limitBytes);
    if (body.kind === "too_slow") throw refusal(408, "the body comes too slowly", { Connection: "close" });
    throw refusal(503, "too much is being received at once; try again", { "Retry-After": "1" });
  }

  async #session(exchange: Exchange, opened: Opened): Promise<void> {
    const { request } = exchange;
    const { access, settings } = opened;
    requireMethod(request, "GET", "POST", "DELETE");
    if (request.method === "GET") {
      const session = await this.#requireSession(request, opened);
      const ownerUntilMs = this.#ownerUntilMs(request, session);
      answerValue(exchange, sessionReport(session.untilMs, ownerUntilMs, settings()));
    } else if (request.method === "DELETE") {
      await access.signOut(bearerOf(request) ?? "");
      answerNothing(exchange);
    } else await this.#signIn(exchange, opened);
  }

  async #signIn(exchange: Exchange, { access, settings, isNewHome }: Opened): Promise<void> {
    const { request } = exchange;
    const body = await this.#receive(exchange, SIGN_IN_LIMIT_BYTES);
    if (body === null) return;
    const { link, token } = readSignIn(body.toString("utf8"));
    // Asked before the link is used, as its own session is one.
    const isNew = link !== null && isOnLoopback(request) && !access.hasSessions && (await isNewHome());
    const given = link === null ? await access.signIn(token) : await access.redeem(link);
    if (given === null) return this.#refuse(request);
    const { secret, untilMs } = given;
    const first = link === null ? null : this.owners.takeFirst(secret, link, isNew);
    const ownerUntilMs = first === null ? null : this.owners.expiresAtMs(secret, first.right);
    answerValue(exchange, { session: secret, ...first, ...sessionReport(untilMs, ownerUntilMs, settings()) });
  }
}

function isTaken(path: string): boolean {
  if (path === "/" || path.startsWith("/page/")) return true;
  return path.startsWith(`${MANAGE_PREFIX}/`) && path !== HEALTH_PATH && path !== `${HEALTH_PATH}/`;
}

/** Throws the refusal of a request that the current settings do not let through. */
function requireServed(request: IncomingMessage, settings: Omit<HttpApiSettings, "runsCommands">): void {
  if (!settings.isEnabled) throw refusal(404, "nothing is served here; MCP is at /mcp");
  requireHead(request, settings);
}

function notSignedIn(request: IncomingMessage): Refusal {
  const error = new MountaineerError("not_signed_in", "you are not signed in", {
    hint: "run mountaineer open again; from elsewhere: mountaineer server-token",
  });
  // A challenge would make browsers open their own dialog for a name and password.
  return new Refusal(401, error, isOfBrowser(request) ? {} : { "WWW-Authenticate": "Bearer" });
}

/**
 * The sender of the request; null: not signed in. Cookies are ignored, because a browser sends the cookies of a host to
 * all of its ports.
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

/** Reads the body of a sign-in. Throws `protocol` for an invalid one. */
function readSignIn(
  text: string,
): { readonly link: string; readonly token: null } | { readonly link: null; readonly token: string } {
  const given = jsonObject(text);
  const { link, token } = given ?? {};
  const names = Object.keys(given ?? {});
  if (names.length === 1 && typeof link === "string") return { link, token: null };
  if (names.length === 1 && typeof token === "string") return { link: null, token };
  throw new MountaineerError("protocol", 'the body is not { "link": … } or { "token": … }');
}

/** The owner's right that a page on this machine sends; null: none. */
function ownerRightOf(request: IncomingMessage): string | null {
  const right = request.headers["x-mountaineer-owner"];
  return typeof right === "string" && isOnLoopback(request) ? right : null;
}

/** The bearer secret of the Authorization header; null without one. */
function bearerOf({ headers }: IncomingMessage): string | null {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}
