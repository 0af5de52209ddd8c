// The calls of one script: each waits for its turn within the principal's limits, and is then made once, by the rules that
// serve at that moment.

import { errorText } from "../../runtime/errors.ts";
import { isLarge, readLarge } from "../../runtime/json/large-json.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { CallAbort, type CallSignal } from "../call-signal.ts";
import { isAppOnly } from "../catalog/app-pages.ts";
import type { CallHandle, ClientHandle } from "../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  isWritable,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../json-rpc.ts";
import type { PrincipalLimiter } from "../limits/principal-limits.ts";
import { isSamePrincipal } from "../middleware/answered-call.ts";
import type { GatewayRequest, RunningScript, ServingSet, TraceHeaders } from "../middleware/middleware.ts";
import { unknownTarget } from "../middleware/request-target.ts";
import { sanitise } from "../middleware/sanitise.ts";
import { TASKS_EXTENSION } from "../protocol.ts";
import type { ScriptDeadline } from "./script-deadline.ts";

/** What became of the calls of one tool. */
interface ToolCalls {
  done: number;
  failed: number;
  /** Begun, and neither done nor failed: they may have taken effect. */
  open: number;
}

export interface ScriptCallsOptions {
  readonly request: GatewayRequest;
  readonly script: RunningScript;
  /** The set that serves now. */
  readonly served: () => ServingSet;
  /** Reads the lists that may have the tool, if no list has it. */
  readonly dueLists: (
    client: ClientHandle,
    request: { method: string; params: JsonObject },
  ) => Promise<void> | null;
  readonly limiter: PrincipalLimiter;
  readonly deadline: ScriptDeadline;
  readonly trace: TraceHeaders | null;
  readonly logger: Logger;
}

const MOST_NAMED = 50;

export class ScriptCalls {
  readonly #options: ScriptCallsOptions;
  readonly #abort = new CallAbort();
  readonly #tools = new Map<string, ToolCalls>();
  #begun = 0;
  #dropped = 0;
  /** Calls without an answer, those that wait for their turn among them. */
  #open = 0;
  #none: PromiseWithResolvers<void> | null = null;
  /** True: no new call begins. */
  #isClosed = false;

  constructor(options: ScriptCallsOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async call(name: string, argumentsJson: string): Promise<Reply> {
    this.#open += 1;
    try {
      return await this.#inTurn(name, argumentsJson);
    } catch (error) {
      this.#options.logger.error("a script's call was not handled", { error: errorText(error) });
      return errorReply(INTERNAL_ERROR, "internal error");
    } finally {
      this.#open -= 1;
      if (this.#open === 0) this.#none?.resolve();
    }
  }

  /** Resolves when every call has its answer. */
  async whenAnswered(): Promise<void> {
    if (this.#open === 0) return;
    this.#none ??= Promise.withResolvers();
    await this.#none.promise;
  }

  /** Calls that have not begun are not made. */
  close(): void {
    this.#isClosed = true;
  }

  abort(reason: unknown): void {
    this.close();
    this.#abort.abort(reason);
  }

  /** How many calls were not made, because the script had returned before their turn came. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The finished calls as text; null: none. */
  get account(): string | null {
    if (this.#begun === 0) return null;
    const tools = [...this.#tools].slice(0, MOST_NAMED).map(([name, { done, failed, open }]) => {
      const outcomes = [
        ...(done === 0 ? [] : [`${done} done`]),
        ...(failed === 0 ? [] : [`${failed} failed`]),
        ...(open === 0 ? [] : [`${open} cut off, which may have taken effect`]),
      ];
      return `${sanitise(name)}: ${outcomes.join(", ")}`;
    });
    const more = this.#tools.size - tools.length;
    return [...tools, ...(more > 0 ? [`and ${more} more tools`] : [])].join("; ");
  }

  async #inTurn(name: string, argumentsJson: string): Promise<Reply> {
    const { request, limiter, script } = this.#options;
    const { client } = request.handle;
    using turn = this.#isClosed ? null : await limiter.turn(client.principal, this.#abort);
    const given = turn === null || this.#isClosed ? null : await parsed(argumentsJson);
    if (turn === null || this.#isClosed || this.#abort.aborted) {
      this.#dropped += 1;
      return errorReply(BACKEND_UNAVAILABLE, "the script has ended");
    }
    if (!isJsonObject(given) || !isWritable(given)) {
      return errorReply(INVALID_PARAMS, "the arguments are not an object, or nested too deeply");
    }
    await this.#options.dueLists(client, { method: "tools/call", params: { name } });
    const served = this.#options.served().forClient(client);
    const call = served.finalRequest(this.#requestOf(served, { name, arguments: given }));
    const refusal = refusalNow(served, client, name);
    if (refusal !== null) {
      served.denied(call);
      return refusal;
    }
    this.#begun += 1;
    const counts = this.#countsOf(name);
    counts.open += 1;
    this.#showProgress(name);
    script.calls.add(call);
    const reply = await served.handle(call).finally(() => script.calls.delete(call));
    // An aborted call stays open: whether it took effect is unknown.
    if (isError(reply) && (this.#abort.aborted || reply.error.code === REQUEST_TIMEOUT)) return reply;
    counts.open -= 1;
    if (isError(reply) || reply.result["isError"] === true) counts.failed += 1;
    else counts.done += 1;
    return reply;
  }

  #requestOf(served: ServingSet, params: JsonObject): GatewayRequest {
    const { script, trace } = this.#options;
    return {
      method: "tools/call",
      params,
      handle: this.#port(),
      signal: this.#abort satisfies CallSignal,
      served,
      script,
      through: "run_script",
      refusedNow: () => {
        const { client } = this.#options.request.handle;
        return refusalNow(this.#options.served().forClient(client), client, String(params["name"]));
      },
      ...(trace !== null && { trace }),
    };
  }

  /** Questions and log messages reach the client by the call of `run_script`, whose progress is the script's own. */
  #port(): CallHandle {
    const { request, script, deadline } = this.#options;
    const { handle } = request;
    const id = `script-${script.id}-${this.#begun + 1}`;
    return {
      client: handle.client,
      id,
      ...(handle.declared !== undefined && { declared: withoutTasks(handle.declared) }),
      notify(method, params) {
        if (method !== "notifications/progress") handle.notify(method, params);
      },
      // Only a person is waited for without limit of time.
      request: (...question) =>
        question[0] === "elicitation/create"
          ? deadline.without(() => handle.request(...question))
          : handle.request(...question),
      untilAnswered: (answer) => deadline.without(answer),
      get mayBeEvicted() {
        return handle.mayBeEvicted === true;
      },
      evict: () => handle.evict?.(),
      get congested() {
        return handle.congested;
      },
    };
  }

  #showProgress(name: string): void {
    const { handle, params } = this.#options.request;
    const meta = params?.["_meta"];
    const progressToken = isJsonObject(meta) ? meta["progressToken"] : undefined;
    if (progressToken === undefined) return;
    const message = `call ${this.#begun}: ${sanitise(name)}`;
    handle.notify("notifications/progress", { progressToken, progress: this.#begun, message });
  }

  #countsOf(name: string): ToolCalls {
    let counts = this.#tools.get(name);
    if (counts === undefined) {
      counts = { done: 0, failed: 0, open: 0 };
      this.#tools.set(name, counts);
    }
    return counts;
  }
}

/** A large text has its own turn of the event loop. Its values were counted. */
async function parsed(json: string): Promise<unknown> {
  return isLarge(json) ? (await readLarge(Buffer.from(json))).parse() : parseJson(json);
}

/** Why no call may be made now; null: the chain decides. */
function refusalNow(
  served: ServingSet,
  { principal, protocolVersion }: ClientHandle,
  name: string,
): Reply | null {
  if (!isSamePrincipal(served, principal) || !served.mayRunScripts(principal)) {
    return errorReply(BACKEND_UNAVAILABLE, "your rights were changed since the script began: run it again");
  }
  // Only for the page of an app, never for a model.
  const tool = served.viewFor(principal).callable(protocolVersion).get(name);
  return tool !== undefined && isAppOnly(tool) ? unknownTarget({ kind: "tool", name }) : null;
}

/** A script waits for results, and can hold no task. */
function withoutTasks(declared: JsonObject): JsonObject {
  const { extensions } = declared;
  if (!isJsonObject(extensions)) return declared;
  const { [TASKS_EXTENSION]: _, ...others } = extensions;
  return { ...declared, extensions: others };
}
