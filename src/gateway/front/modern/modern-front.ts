// Serves requests of protocol 2026-07-28, whatever carries them: each stands for itself, without a session.
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import { URL_ELICITATION_REQUIRED } from "../../elicitation.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  isError,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../json-rpc.ts";
import { MODERN_VERSION } from "../../protocol.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { type CallBegin, type Holding, ModernCall } from "./call.ts";
import { complete } from "./complete.ts";
import { Identities } from "./identities.ts";
import { Listeners } from "./listeners.ts";
import type { ModernRequest } from "./request.ts";

interface ModernOptions {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly holding: Holding;
}

/** To be called when the client closes the connection before it has its answer. */
export type Gone = () => void;

const LEFT = "the client closed the connection";
const STOPPING = "the gateway is stopping";
const nothing: Gone = () => {};

export class ModernFront {
  readonly #options: ModernOptions;
  readonly #holding: Holding;
  readonly #identities: Identities;
  readonly #listeners: Listeners;
  readonly #calls = new Set<ModernCall>();
  readonly #idle = Promise.withResolvers<void>();
  #isEnding = false;

  constructor(options: ModernOptions) {
    const { gateway, clock, holding } = options;
    this.#options = options;
    this.#holding = holding;
    this.#identities = new Identities(gateway, clock);
    this.#listeners = new Listeners(gateway, clock);
  }

  /** Calls that have not settled yet, those included whose client is being asked. */
  get inFlight(): number {
    return this.#calls.size;
  }

  get listening(): number {
    return this.#listeners.size;
  }

  get openQuestions(): number {
    return this.#holding.openQuestions;
  }

  /** `outlet` gets the answer, at the latest when this ends. Never throws. */
  serve(request: ModernRequest, outlet: CallOutlet): Gone {
    const { method, params } = request;
    if (this.#isEnding) {
      outlet.answer(request.id, errorReply(BACKEND_UNAVAILABLE, STOPPING));
      return nothing;
    }
    if (method === "server/discover") return this.#discover(request, outlet);
    if (method === "subscriptions/listen") return this.#listeners.listen(request, outlet);
    if (params["requestState"] === undefined && params["inputResponses"] === undefined) {
      return this.#begin(request, { params, isAgreed: false, identity: null }, outlet);
    }
    const resumed = this.#holding.resume(request, outlet);
    if (resumed.kind === "begins") return this.#begin(request, resumed, outlet);
    if (resumed.kind === "goes_on") return resumed.gone;
    outlet.answer(request.id, this.#complete(request, resumed.reply));
    return nothing;
  }

  /** Streams on which clients listen end with a result, so that they listen where they will be served from now on. */
  endListening(): void {
    this.#listeners.end();
  }

  /** Takes no more, waits `graceMs` at most for what is in flight, and ends all. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#isEnding = true;
    this.endListening();
    if (this.#calls.size > 0 && graceMs > 0) {
      await settledWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    this.#holding.end(reason);
    const cause = new MountaineerError("aborted", reason);
    for (const call of [...this.#calls]) {
      call.answer(errorReply(BACKEND_UNAVAILABLE, reason));
      call.abort(cause);
    }
    this.#identities[Symbol.dispose]();
  }

  #discover(request: ModernRequest, outlet: CallOutlet): Gone {
    const { gateway } = this.#options;
    const { serverInfo, ...offered } = gateway.initializeResult(MODERN_VERSION);
    const result = { supportedVersions: [MODERN_VERSION], ...offered };
    outlet.answer(request.id, this.#complete(request, { result }));
    return nothing;
  }

  #begin(request: ModernRequest, begin: CallBegin, outlet: CallOutlet): Gone {
    const { gateway, logger } = this.#options;
    const identity = this.#identities.borrow(request, begin.identity);
    const parts = { identity, holding: this.#holding, served: gateway.served, complete: this.#complete };
    const call = new ModernCall(parts, request, { ...begin, params: withoutTask(begin.params) }, outlet);
    this.#calls.add(call);
    const unlog = request.logLevel === null ? nothing : gateway.logsAt(request.logLevel);
    const settled = (reply: Reply): void => {
      this.#calls.delete(call);
      unlog();
      // Its server may still be at work, and say something that would be taken for the next request's.
      const isUnfinished =
        call.work.signal.aborted || (isError(reply) && reply.error.code === REQUEST_TIMEOUT);
      this.#identities.giveBack(identity, !isUnfinished, comesBack(reply));
      call.answer(reply);
      if (this.#isEnding && this.#calls.size === 0) this.#idle.resolve();
    };
    const failed = (error: unknown): void => {
      logger.error("a request was not handled", { method: request.method, error: errorText(error) });
      settled(errorReply(INTERNAL_ERROR, "internal error"));
    };
    try {
      this.#handle(call).then(settled, failed);
    } catch (error) {
      failed(error);
    }
    return () => call.gone(outlet, new MountaineerError("aborted", LEFT));
  }

  #handle({ client, id, work }: ModernCall): Promise<Reply> {
    const { gateway } = this.#options;
    const { method, params = {} } = work;
    const comes = gateway.awaited(client, { jsonrpc: "2.0", id, method, params });
    if (comes === null) return work.served.handle(work);
    return comes.then(() => {
      if (work.signal.aborted) return errorReply(BACKEND_UNAVAILABLE, "the request was taken back");
      const { served } = gateway;
      return served.handle({ ...work, served });
    });
  }

  readonly #complete = (request: ModernRequest, reply: Reply): Reply =>
    complete(request, reply, this.#options.gateway.serverInfo);
}

/** Its client is told what it has to answer, or to visit, before it makes the call again with a state of ours. */
function comesBack(reply: Reply): boolean {
  if (isError(reply)) return reply.error.code === URL_ELICITATION_REQUIRED;
  const { resultType, requestState } = reply.result;
  return resultType === "input_required" && typeof requestState === "string";
}

/** Tasks are an extension in this version, and none of an older server's. */
function withoutTask(params: JsonObject): JsonObject {
  if (params["task"] === undefined) return params;
  const { task: _, ...rest } = params;
  return rest;
}
