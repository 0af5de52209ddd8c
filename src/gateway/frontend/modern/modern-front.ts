// Serves requests of protocol 2026-07-28, which have no session, for all transports.
import { MountaineerError } from "../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { ShortLivedSet } from "../../../runtime/short-lived.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  LIMIT_REACHED,
  REQUEST_TIMEOUT,
  RESOURCE_NOT_FOUND,
  type Reply,
} from "../../json-rpc.ts";
import type { GatewayRequest } from "../../middleware/middleware.ts";
import {
  declaresTasks,
  isFromThisGateway,
  LISTEN,
  META,
  MODERN_VERSION,
  OWN_BACKEND,
  SERVED_VERSIONS,
} from "../../protocol.ts";
import { runCall } from "../session/call.ts";
import type { CallStream } from "../session/client-stream.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { RIGHTS_ENDED, WITHDRAWN } from "../session/session.ts";
import { type CallBegin, type CallSuspension, ModernCall, type Stopping } from "./call.ts";
import { Listeners } from "./listeners.ts";
import type { ModernRequest } from "./request.ts";
import { StandInSessions } from "./stand-in-sessions.ts";

interface ModernOptions extends RuntimeTools {
  readonly gateway: FrontGateway;
  readonly suspension: CallSuspension;
}

/** To be called when the client closes the connection before it has its answer. */
export type Gone = () => void;

const nothing: Gone = () => {};

export class ModernFront {
  readonly #options: ModernOptions;
  readonly #suspension: CallSuspension;
  readonly #standIns: StandInSessions;
  readonly #listeners: Listeners;
  readonly #calls = new ShortLivedSet<ModernCall>();
  readonly #idle = Promise.withResolvers<void>();
  #isEnding = false;

  constructor(options: ModernOptions) {
    const { gateway, clock, suspension } = options;
    this.#options = options;
    this.#suspension = suspension;
    this.#standIns = new StandInSessions(gateway, clock);
    this.#listeners = new Listeners(gateway, clock);
  }

  /** Number of calls in flight, including suspended ones. */
  get inFlight(): number {
    return this.#calls.size;
  }

  get listening(): number {
    return this.#listeners.size;
  }

  /** `stream` gets the answer, at the latest when `end` is called. Never throws. */
  serve(request: ModernRequest, stream: CallStream): Gone {
    const { method, params } = request;
    if (this.#isEnding) {
      stream.answer(request.id, errorReply(BACKEND_UNAVAILABLE, "the gateway is stopping"));
      return nothing;
    }
    if (method === "server/discover") return this.#discover(request, stream);
    if (method === LISTEN) return this.#listeners.listen(request, stream);
    if (params["requestState"] === undefined && params["inputResponses"] === undefined) {
      return this.#begin(request, { params, agreedTo: null }, stream);
    }
    const stopping: Stopping = () => this.#asCall(request, stream, (work) => work.served.stopped(work));
    const resumed = this.#suspension.resume(request, stream, stopping);
    if (resumed.kind === "begins") return this.#begin(request, resumed, stream);
    if (resumed.kind === "goes_on") return resumed.gone;
    const { reply } = resumed;
    // As in the middleware chain, refusals by a limit are not recorded in the audit.
    const isLimit = isError(reply) && reply.error.code === LIMIT_REACHED;
    if (!isLimit) this.#asCall(request, stream, (work) => work.served.denied(work));
    stream.answer(request.id, this.#complete(request, reply));
    return nothing;
  }

  /** Gives `check` the request as the middleware chain would get it, without running the chain. */
  #asCall<T>(request: ModernRequest, stream: CallStream, check: (work: GatewayRequest) => T): T {
    const standIn = this.#standIns.lease(request);
    const served = this.#options.gateway.served.forClient(request);
    const parts = { standIn, suspension: this.#suspension, served, complete: this.#complete };
    const call = new ModernCall(parts, request, { params: request.params, agreedTo: null }, stream);
    try {
      return check(call.work);
    } finally {
      this.#standIns.giveBack(standIn, true);
    }
  }

  /** Ends listening streams with a result; clients then open new ones at the next daemon. */
  endListening(): void {
    this.#listeners.end();
  }

  /** Ends the calls and idle stand-in sessions of revoked tokens, and calls that the principal may no longer make. */
  endWithdrawn(): void {
    const { served } = this.#options.gateway;
    for (const call of [...this.#calls]) {
      if (served.isWithdrawn(call.newest.principal)) {
        end(call, WITHDRAWN);
        continue;
      }
      const principal = served.refresh(call.newest.principal);
      const now = served.forClient(call.newest);
      const refusal = principal && now.forbidden({ ...call.work, served: now }, principal);
      if (refusal !== null) end(call, RIGHTS_ENDED, refusal);
    }
    this.#standIns.endWithdrawn();
  }

  /** Refuses new requests, waits at most `graceMs` for calls in flight, and then ends the remaining calls. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#isEnding = true;
    this.endListening();
    if (this.#calls.size > 0 && graceMs > 0) {
      await settlesWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    this.#suspension.end(reason);
    for (const call of [...this.#calls]) end(call, reason);
    this.#standIns[Symbol.dispose]();
  }

  #discover(request: ModernRequest, stream: CallStream): Gone {
    if (isFromThisGateway(request.params)) {
      stream.answer(request.id, OWN_BACKEND);
      return nothing;
    }
    const { gateway } = this.#options;
    const { serverInfo, ...offered } = gateway.initializeResult(MODERN_VERSION, request);
    const result = { supportedVersions: SERVED_VERSIONS, ...offered };
    stream.answer(request.id, this.#complete(request, { result }));
    return nothing;
  }

  #begin(request: ModernRequest, { params, agreedTo, mark }: CallBegin, stream: CallStream): Gone {
    const { gateway, logger } = this.#options;
    const served = gateway.served.forClient(request);
    const task = served.taskOf(request.principal, request.method, params);
    const standIn = this.#standIns.lease(request, mark);
    if (task?.mark != null) this.#standIns.keepMarked(request.principal, task.mark);
    const parts = { standIn, suspension: this.#suspension, served, complete: this.#complete };
    const call = new ModernCall(parts, request, { params: withoutTask(params), agreedTo, task }, stream);
    this.#calls.add(call);
    const unlog = request.logLevel === null ? nothing : gateway.logsAt(request.logLevel);
    runCall(gateway, logger, call, (reply) => {
      this.#calls.delete(call);
      unlog();
      // The server may still be working. Its messages must not be taken for messages of the stand-in session's next
      // request.
      const isUnfinished =
        call.work.signal.aborted || (isError(reply) && reply.error.code === REQUEST_TIMEOUT);
      const { resultType, ttlMs } = isError(reply) ? {} : reply.result;
      if (resultType === "input_required") this.#standIns.expect(standIn);
      // The task may run in the stand-in session's own server process, which ends with that session.
      if (resultType === "task") this.#standIns.retain(standIn, ttlMs);
      this.#standIns.giveBack(standIn, !isUnfinished);
      call.answer(reply);
      if (this.#isEnding && this.#calls.size === 0) this.#idle.resolve();
    });
    return () => call.gone(stream, new MountaineerError("aborted", "the client closed the connection"));
  }

  readonly #complete = (request: ModernRequest, reply: Reply): Reply =>
    complete(request, reply, this.#options.gateway.serverInfo);
}

function end(call: ModernCall, reason: string, reply: Reply = errorReply(BACKEND_UNAVAILABLE, reason)): void {
  call.answer(reply);
  call.abort(new MountaineerError("aborted", reason));
}

/**
 * Removes the parameter `task` of older versions, which a legacy server must not see: in 2026-07-28 tasks are
 * an extension.
 */
function withoutTask(params: JsonObject): JsonObject {
  if (params["task"] === undefined) return params;
  const { task: _, ...rest } = params;
  return rest;
}

// Completes replies of legacy backends with what protocol 2026-07-28 requires.

/** Requests whose results say how long they may be cached. */
const CACHED: ReadonlySet<string> = new Set([
  "server/discover",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);

function complete(request: ModernRequest, reply: Reply, serverInfo: JsonObject): Reply {
  if (isError(reply)) {
    const { error } = reply;
    return error.code === RESOURCE_NOT_FOUND ? { error: { ...error, code: INVALID_PARAMS } } : reply;
  }
  const { result } = reply;
  const { resultType = "complete", _meta } = result;
  if (resultType === "task" && !(request.method === "tools/call" && declaresTasks(request.capabilities))) {
    return errorReply(INTERNAL_ERROR, "the server answered with a task, which this request does not take");
  }
  const meta = { ...(isJsonObject(_meta) ? _meta : {}), [META.serverInfo]: serverInfo };
  const cache = resultType === "complete" && CACHED.has(request.method) ? freshness(request, result) : {};
  return { result: { ...result, ...cache, resultType, _meta: meta } };
}

/** How long a client may keep a whole list if its servers do not say. Not all of them send notices of changes. */
const LIST_MS = 5_000;

/**
 * How long a result may be cached: not at all unless it is a whole list or the server says so, and by shared caches only if
 * anonymous clients may read the result.
 */
function freshness(
  { method, params, principal }: ModernRequest,
  { ttlMs, cacheScope }: JsonObject,
): JsonObject {
  if (ttlMs === 0 && method.endsWith("/list")) return { ttlMs: LIST_MS, cacheScope: "private" };
  const isRetry = params["inputResponses"] !== undefined || params["requestState"] !== undefined;
  const isValid = typeof ttlMs === "number" && Number.isInteger(ttlMs) && ttlMs >= 0 && !isRetry;
  const isPublic = isValid && cacheScope === "public" && principal.kind === "anonymous";
  return { ttlMs: isValid ? ttlMs : 0, cacheScope: isPublic ? "public" : "private" };
}
