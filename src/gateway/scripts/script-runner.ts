// Runs scripts: a thread for each, its calls through the gateway, and the reply of `run_script`.

import type { ScriptsConfig } from "../../config/snapshot.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { principalKey } from "../client-handle.ts";
import { isError, isWritable, type JsonObject, jsonOf, type Reply } from "../json-rpc.ts";
import { isWithin } from "../limits/result-size.ts";
import type { GatewayRequest, RunningScript, TraceHeaders } from "../middleware/middleware.ts";
import { ScriptCalls, type ScriptCallsOptions } from "./script-calls.ts";
import { ScriptDeadline } from "./script-deadline.ts";
import { MOST_WAITING, ScriptSlots } from "./script-slots.ts";
import { failedTool } from "./script-tool.ts";
import { type ScriptThread, ScriptThreads } from "./thread/script-threads.ts";
import { SharedLog } from "./thread/shared-log.ts";
import { BOUNDS, type FromThread, type ScriptEnd } from "./thread/thread-messages.ts";

/** How long a script may compute between two of its calls, ms. */
const COMPUTES_MS = 10_000;
/** How long its thread may compute when it has returned, ms. */
const ENDS_MS = 50;
const NOTHING = "The script returned nothing: `return` gives a result.";
const CANCELLED = "the call of run_script was cancelled";

export interface RunnerOptions
  extends RuntimeTools,
    Pick<ScriptCallsOptions, "served" | "dueLists" | "limiter"> {
  readonly config: () => ScriptsConfig;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

export class ScriptRunner implements Disposable {
  readonly #options: RunnerOptions;
  readonly #threads: ScriptThreads;
  readonly #slots = new ScriptSlots();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#threads = new ScriptThreads(options.clock);
  }

  /** Never rejects. A script is never run a second time. */
  async run(request: GatewayRequest, script: RunningScript, source: string): Promise<Reply> {
    const { principal } = request.handle.client;
    const key = principalKey(principal);
    if (!this.#slots.hasFreeSlot(key))
      return failedTool(`${MOST_WAITING} scripts wait already: run this one later`);
    const quota = this.#options.limiter.uncounted(principal);
    try {
      using slot = await this.#slots.take(key, request.signal);
      if (slot === null) return failure(`The script was ended: ${CANCELLED}.`, "", null, String);
      return await this.#runIn(await this.#threads.take(), request, script, source);
    } catch (error) {
      this.#options.logger.error("a script could not be run", { error: errorText(error) });
      return failedTool("the script could not be run: its thread did not start");
    } finally {
      quota.count();
    }
  }

  [Symbol.dispose](): void {
    this.#threads[Symbol.dispose]();
  }

  async #runIn(thread: ScriptThread, request: GatewayRequest, script: RunningScript, source: string) {
    const { clock, limiter, logger, served, dueLists, config, clean } = this.#options;
    const { timeoutMs } = config();
    const { promise: cut, resolve: stop } = Promise.withResolvers<string>();
    using deadline = new ScriptDeadline(clock, timeoutMs, () =>
      stop(`it ran for ${timeoutMs / 1_000} s ([scripts].timeout)`),
    );
    const trace = traceOf(request.params);
    const calls = new ScriptCalls({ request, script, served, dueLists, limiter, deadline, trace, logger });
    const work = new ThreadWork(thread, calls, clock, stop);
    const cancelled = (): void => stop(CANCELLED);
    request.signal.addEventListener("abort", cancelled, { once: true });
    if (request.signal.aborted) cancelled();
    let isReusable = false;
    try {
      work.begin(source);
      const over = await Promise.race([work.over, cut.then((why): Over => ({ kind: "cut", why }))]);
      if (over.kind === "cut")
        return failure(`The script was ended: ${over.why}.`, work.log, calls.account, clean);
      // A script that fails may have spoiled what its thread has in common with the next one, such as its parser.
      isReusable = work.isIdle && over.end.outcome === "returned" && !over.end.isLarge;
      const late = await Promise.race([calls.whenAnswered(), cut]);
      if (late === undefined) {
        const { resultBytes } = limiter.limits;
        const reply = replyOf(over.end, work.log, calls, clean);
        if (resultBytes === null || isWithin(reply.result, resultBytes)) return reply;
        const why = "The script failed: its result is larger than [limits] result_mb allows: return less";
        return failure(why, "", calls.account, clean);
      }
      return failure(`The script was ended: ${late}.`, work.log, calls.account, clean);
    } finally {
      request.signal.removeEventListener("abort", cancelled);
      work.stop();
      if (isReusable) this.#threads.keep(thread);
      else thread[Symbol.dispose]();
      calls.abort(request.signal.reason ?? new MountaineerError("aborted", "the script has ended"));
    }
  }
}

type Ended = Extract<FromThread, { readonly kind: "ended" }>;
type Over = { readonly kind: "ended"; readonly end: Ended } | { readonly kind: "cut"; readonly why: string };

/** What passes between a script's thread and its calls. */
class ThreadWork {
  readonly over: Promise<Over>;
  readonly #thread: ScriptThread;
  readonly #calls: ScriptCalls;
  readonly #clock: RunnerOptions["clock"];
  readonly #stop: (why: string) => void;
  readonly #log = new SharedLog();
  /** Messages to the thread that it has not dealt with. */
  #unread = 0;
  /** Calls that run, or whose results the thread has not dealt with. */
  #running = 0;
  readonly #queue: (() => void)[] = [];
  #busy: Disposable | null = null;
  #hasBegun = false;
  #isOver = false;
  #end: Ended | null = null;

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
    this.#send({ kind: "run", source, log: this.#log.buffer });
  }

  stop(): void {
    this.#isOver = true;
    this.#busy?.[Symbol.dispose]();
  }

  /** Also of a script that was ended. */
  get log(): string {
    return this.#log.text;
  }

  /** The thread computes nothing. */
  get isIdle(): boolean {
    return this.#unread === 0;
  }

  #take(message: FromThread, over: (how: Over) => void): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case "idle":
        this.#unread -= 1;
        this.#watch();
        // The first message that it deals with is the script itself.
        if (this.#hasBegun) {
          this.#running -= 1;
          this.#queue.shift()?.();
        }
        this.#hasBegun = true;
        if (this.#end !== null && this.isIdle) over({ kind: "ended", end: this.#end });
        break;
      case "call":
        void this.#call(message.call, message.name, message.argumentsJson);
        break;
      case "ended": {
        const end = message;
        this.#end = end;
        // Calls that have begun are its calls all the same, also if it did not wait for them; the others are not made.
        this.#calls.close();
        for (const go of this.#queue.splice(0)) go();
        // Work that the script began without waiting for it may run for ever.
        this.#busy?.[Symbol.dispose]();
        this.#busy = this.#clock.setTimer(ENDS_MS, () => over({ kind: "ended", end }));
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
    if (this.#isOver || this.#end !== null) return;
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
    if (this.#end !== null) return;
    this.#busy?.[Symbol.dispose]();
    this.#busy = null;
    if (this.isIdle) return;
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
  { account, dropped }: ScriptCalls,
  clean: (text: string) => string,
): { readonly result: JsonObject } {
  if (end.outcome === "failed") return failure(`The script failed: ${end.text}`, log, account, clean);
  const value: unknown = end.json === "" ? null : parseJson(end.json);
  if (!isWritable(value)) {
    return failure("The script failed: its result is nested too deeply.", log, account, clean);
  }
  const blocks: unknown = end.blocks === null ? [] : parseJson(end.blocks);
  const text = end.json === "" ? NOTHING : typeof value === "string" ? value : end.json;
  const content = [
    { type: "text", text },
    ...(Array.isArray(blocks) ? blocks : []),
    ...(dropped === 0
      ? []
      : [{ type: "text", text: `Not made: ${dropped} calls that the script did not wait for (\`await\`).` }]),
    ...logBlocks(log, clean),
  ];
  return { result: { content, structuredContent: { result: value } } };
}

function failure(why: string, log: string, account: string | null, clean: (text: string) => string) {
  const done =
    account === null ? "No call was made." : `Its calls, none of which is made again: ${clean(account)}.`;
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
