// Runs scripts: a thread for each, its calls through the gateway, and the reply of `run_script`.
import type { ScriptsConfig } from "../../config/snapshot.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { principalKey } from "../client-port.ts";
import type { GatewayTools } from "../gateway-tools.ts";
import { isError, isWritable, type JsonObject, jsonOf, type Reply } from "../json-rpc.ts";
import type { PrincipalLimiter } from "../limits/principal-limits.ts";
import { isWithin } from "../limits/result-size.ts";
import type { GatewayRequest, RunningScript, ServingSet, TraceHeaders } from "../middleware/middleware.ts";
import { ScriptCalls } from "./script-calls.ts";
import { ScriptDeadline } from "./script-deadline.ts";
import { failedTool } from "./script-tool.ts";
import { type ScriptThread, ScriptThreads } from "./thread/script-threads.ts";
import { BOUNDS, type FromThread, type LogEnd, type ScriptEnd } from "./thread/thread-messages.ts";

/** Scripts that run at once, of one principal and of all. */
const MOST_OF_ONE = 4;
const MOST_RUNNING = 16;
/** How long a script may compute between two of its calls, ms. */
const COMPUTES_MS = 10_000;

export interface RunnerOptions extends GatewayTools {
  /** The set that serves now. */
  readonly served: () => ServingSet;
  readonly limiter: PrincipalLimiter;
  readonly config: () => ScriptsConfig;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

export class ScriptRunner implements Disposable {
  readonly #options: RunnerOptions;
  readonly #threads: ScriptThreads;
  readonly #running = new Map<string, number>();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#threads = new ScriptThreads(options.clock);
  }

  /** Never rejects. A script is never run a second time. */
  async run(request: GatewayRequest, script: RunningScript, source: string): Promise<Reply> {
    const key = principalKey(request.port.client.principal);
    const [own, all] = [this.#running.get(key) ?? 0, this.#all];
    if (own >= MOST_OF_ONE || all >= MOST_RUNNING) {
      return failedTool(`${Math.min(own, all)} scripts run already: run this one when one of them has ended`);
    }
    this.#running.set(key, own + 1);
    const slot = this.#options.limiter.uncounted(request.port.client.principal);
    try {
      return await this.#runIn(await this.#threads.take(), request, script, source);
    } catch (error) {
      this.#options.logger.error("a script could not be run", { error: errorText(error) });
      return failedTool("the script could not be run: its thread did not start");
    } finally {
      slot.count();
      const left = (this.#running.get(key) ?? 1) - 1;
      if (left === 0) this.#running.delete(key);
      else this.#running.set(key, left);
    }
  }

  [Symbol.dispose](): void {
    this.#threads[Symbol.dispose]();
  }

  get #all(): number {
    return [...this.#running.values()].reduce((sum, one) => sum + one, 0);
  }

  async #runIn(given: ScriptThread, request: GatewayRequest, script: RunningScript, source: string) {
    using thread = given;
    const { clock, limiter, logger, served, config, clean } = this.#options;
    const { timeoutMs } = config();
    const { promise: cut, resolve: stop } = Promise.withResolvers<string>();
    using deadline = new ScriptDeadline(clock, timeoutMs, () =>
      stop(`it ran for ${timeoutMs / 1_000} s ([scripts].timeout)`),
    );
    const trace = traceOf(request.params);
    const calls = new ScriptCalls({ request, script, served, limiter, deadline, trace, logger });
    const work = new ThreadWork(thread, calls, clock, stop);
    const cancelled = (): void => stop("the call of run_script was cancelled");
    request.signal.addEventListener("abort", cancelled, { once: true });
    if (request.signal.aborted) cancelled();
    try {
      work.begin(source);
      const outcome = await Promise.race([work.over, cut.then((why): Over => ({ kind: "cut", why }))]);
      if (outcome.kind === "ended") {
        // Calls that have begun are its calls all the same, also if it did not wait for them.
        calls.close();
        const rest = await Promise.race([calls.settled(), cut]);
        if (rest === undefined) return replyOf(outcome.end, work.log(outcome.log), calls.account, clean);
        return failure(`The script was ended: ${rest}.`, work.log(outcome.log), calls.account, clean);
      }
      return failure(`The script was ended: ${outcome.why}.`, work.log(null), calls.account, clean);
    } finally {
      request.signal.removeEventListener("abort", cancelled);
      work.stop();
      calls.abort(request.signal.reason ?? new MountaineerError("aborted", "the script has ended"));
    }
  }
}

type Over =
  | { readonly kind: "ended"; readonly end: ScriptEnd; readonly log: LogEnd }
  | { readonly kind: "cut"; readonly why: string };

/** What passes between a script's thread and its calls. */
class ThreadWork {
  readonly over: Promise<Over>;
  readonly #thread: ScriptThread;
  readonly #calls: ScriptCalls;
  readonly #clock: RunnerOptions["clock"];
  readonly #stop: (why: string) => void;
  #head = "";
  /** Messages to the thread that it has not dealt with. */
  #unread = 0;
  /** Calls that run, or whose results the thread has not dealt with. */
  #running = 0;
  readonly #queue: (() => void)[] = [];
  #busy: Disposable | null = null;
  #hasBegun = false;
  #isOver = false;

  constructor(
    thread: ScriptThread,
    calls: ScriptCalls,
    clock: RunnerOptions["clock"],
    stop: (why: string) => void,
  ) {
    this.#thread = thread;
    this.#calls = calls;
    this.#clock = clock;
    this.#stop = stop;
    const { promise, resolve } = Promise.withResolvers<Over>();
    this.over = promise;
    thread.listen({
      onMessage: (message) => this.#take(message, resolve),
      onCrash: (error) => resolve({ kind: "cut", why: crashText(error) }),
    });
  }

  begin(source: string): void {
    this.#send({ kind: "run", source });
  }

  stop(): void {
    this.#isOver = true;
    this.#busy?.[Symbol.dispose]();
  }

  /** The whole log, or its beginning and its end. */
  log(end: LogEnd | null): string {
    if (end === null) return this.#head;
    const gap = end.left === 0 ? "" : `\n… ${end.left} characters are left out here …\n`;
    return this.#head + gap + end.text;
  }

  #take(message: FromThread, over: (how: Over) => void): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case "idle":
        this.#unread -= 1;
        this.#watch();
        // The first message that it deals with is the script itself.
        if (this.#hasBegun) this.#running -= 1;
        this.#hasBegun = true;
        this.#queue.shift()?.();
        break;
      case "log":
        this.#head += message.text;
        break;
      case "call":
        void this.#call(message.call, message.name, message.argumentsJson);
        break;
      case "ended": {
        const { log, kind: _, ...end } = message;
        over({ kind: "ended", end, log });
        break;
      }
      default:
    }
  }

  async #call(call: number, name: string, argumentsJson: string): Promise<void> {
    if (this.#running >= BOUNDS.callsAtOnce) {
      await new Promise<void>((resolve) => void this.#queue.push(resolve));
    }
    this.#running += 1;
    const reply = await this.#calls.call(name, argumentsJson);
    if (this.#isOver) return;
    if (isError(reply)) this.#send({ kind: "refused", call, text: reply.error.message });
    else if (!isWithin(reply.result, BOUNDS.resultBytes)) {
      this.#send({ kind: "refused", call, text: "the tool's result is too large for a script" });
    } else this.#send({ kind: "result", call, json: jsonOf(reply.result) ?? "null" });
  }

  #send(message: Parameters<ScriptThread["send"]>[0]): void {
    this.#thread.send(message);
    this.#unread += 1;
    if (this.#unread === 1) this.#watch();
  }

  /** A thread that computes for too long is ended. */
  #watch(): void {
    this.#busy?.[Symbol.dispose]();
    this.#busy = null;
    if (this.#unread === 0) return;
    const late = `it computed for ${COMPUTES_MS / 1_000} s without waiting for a call`;
    this.#busy = this.#clock.setTimer(COMPUTES_MS, () => this.#stop(late));
  }
}

function crashText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return code === "ERR_WORKER_OUT_OF_MEMORY" ? "it used too much memory" : "its thread ended";
}

function replyOf(
  end: ScriptEnd,
  log: string,
  account: string | null,
  clean: (text: string) => string,
): Reply {
  if (end.outcome === "failed") return failure(`The script failed: ${end.text}`, log, account, clean);
  const value: unknown = JSON.parse(end.json);
  if (!isWritable(value)) {
    return failure("The script failed: its result is nested too deeply.", log, account, clean);
  }
  const blocks: unknown = end.blocks === null ? [] : JSON.parse(end.blocks);
  const text = typeof value === "string" ? value : end.json;
  const content = [
    { type: "text", text },
    ...(Array.isArray(blocks) ? blocks : []),
    ...logBlocks(log, clean),
  ];
  return { result: { content, structuredContent: { result: value } } };
}

function failure(why: string, log: string, account: string | null, clean: (text: string) => string) {
  const done = account === null ? "No call was made." : `Its calls, none of which is made again: ${account}.`;
  const content: JsonObject[] = [{ type: "text", text: `${clean(why)}\n${done}` }, ...logBlocks(log, clean)];
  return { result: { content, isError: true } };
}

function logBlocks(log: string, clean: (text: string) => string): JsonObject[] {
  return log === "" ? [] : [{ type: "text", text: `Log:\n${clean(log)}` }];
}

/** The trace of the call of `run_script`: its calls are steps of it. */
function traceOf(params: JsonObject | undefined): TraceHeaders | null {
  const meta = params?.["_meta"];
  if (typeof meta !== "object" || meta === null || !("traceparent" in meta)) return null;
  const { traceparent } = meta;
  const tracestate =
    "tracestate" in meta && typeof meta.tracestate === "string" ? meta.tracestate : undefined;
  return typeof traceparent === "string" ? { traceparent, tracestate } : null;
}
