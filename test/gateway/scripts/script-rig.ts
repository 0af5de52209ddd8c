// A gateway with scripts, without processes: real threads, real chain, and a pool that answers as a test says.
import type { TestContext } from "node:test";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { ANONYMOUS, type CallHandle, type ClientHandle } from "../../../src/gateway/client-handle.ts";
import { type JsonObject, jsonOf, type Reply } from "../../../src/gateway/json-rpc.ts";
import { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { createOwnTools } from "../../../src/gateway/optimizer/own-tools.ts";
import { ToolIndex } from "../../../src/gateway/optimizer/tool-index.ts";
import { createScripts } from "../../../src/gateway/scripts/scripts.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import type { ServingSetOptions } from "../../../src/gateway/serving/serving-set.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { catalogOf, source } from "../catalog/sources.ts";
import { callPort, client, recordingServices, servingSet } from "../middleware/requests.ts";

type Options = Partial<ServingSetOptions> & {
  readonly timeoutMs?: number;
  readonly callsInFlight?: number;
  readonly optimized?: boolean;
};

export interface ScriptRig {
  /** What serves from now on. */
  serve(sources: readonly CatalogSource[], options?: Partial<ServingSetOptions>): void;
  readonly served: () => ServingSet;
  readonly calls: readonly { readonly params: JsonObject | undefined }[];
  run(script: string, how?: RunOptions): Promise<Reply>;
  /** A single call. */
  call(name: string, given: JsonObject, how?: RunOptions): Promise<Reply>;
  readonly limiter: PrincipalLimiter;
}

export interface RunOptions {
  readonly from?: ClientHandle;
  readonly port?: CallHandle;
  readonly signal?: AbortSignal;
  readonly params?: JsonObject;
}

export function scriptRig(
  t: TestContext,
  sources: readonly CatalogSource[],
  answer: (call: PoolCall) => Reply | Promise<Reply>,
  { timeoutMs = 20_000, callsInFlight = 100, optimized = false, ...given }: Options = {},
): ScriptRig {
  const services = recordingServices((_backend, call) => answer(call));
  const clock = systemClock;
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, callsInFlight }, clock);
  let served: ServingSet;
  const scripts = createScripts({
    ...{ clock, logger: noopLogger, limiter, clean: (text) => text },
    served: () => served,
    dueLists: () => null,
    config: () => ({ enabled: true, timeoutMs }),
  });
  t.after(() => scripts[Symbol.dispose]());
  const selections = createSelections({
    optimizer: { enabled: optimized, keepTools: [] },
    scripts: { enabled: true, timeoutMs },
    groups: [],
    profiles: [],
  });
  const index = new ToolIndex();
  const ownTools = createOwnTools({ index, clock, logger: noopLogger });
  const serve = (now: readonly CatalogSource[], options: Partial<ServingSetOptions> = {}): void => {
    index.follow(catalogOf(...now).tools);
    const shared = {
      current: () => served,
      clock,
      ownTools,
      scripts,
      selections,
      limiter,
      authentication: KNOWN,
    };
    served = servingSet(now, services, { ...shared, ...given, ...options });
  };
  serve(sources);
  const call = (
    params: JsonObject,
    { from = client(), port: handle = callPort(from), signal }: RunOptions,
  ) => {
    const set = served.forClient(from);
    const never = new AbortController().signal;
    const request = { method: "tools/call", params, handle, signal: signal ?? never, served: set };
    return set.handle(set.finalRequest(request));
  };
  return {
    serve,
    served: () => served,
    calls: services.calls,
    limiter,
    run: (script, { params = {}, ...how } = {}) =>
      call({ name: "run_script", arguments: { script }, ...params }, how),
    call: (name, given, how = {}) => call({ name, arguments: given }, how),
  };
}

/** Knows everybody, with the roles that they came with. */
const KNOWN: ServingSetOptions["authentication"] = {
  resource: null,
  signed: null,
  isWithdrawn: () => false,
  refresh: (principal) => principal,
  authenticate: () => ({ ok: true, principal: ANONYMOUS }),
};

export const text = (given: string): Reply => ({ result: { content: [{ type: "text", text: given }] } });

/** The value that a script returned; throws with the error's text otherwise. */
export function returnedBy(reply: Reply): unknown {
  if ("error" in reply) throw new Error(reply.error.message);
  if (reply.result["isError"] === true) throw new Error(textOf(reply));
  const { structuredContent } = reply.result;
  return (structuredContent as JsonObject)["result"];
}

/** All texts of a reply. */
export function textOf(reply: Reply): string {
  if ("error" in reply) return reply.error.message;
  const { content } = reply.result;
  return (content as readonly JsonObject[]).map((block) => String(block["text"] ?? jsonOf(block))).join("\n");
}

/** A server's tools, by name, with their annotations. */
export function annotated(backend: string, tools: Readonly<Record<string, JsonObject>>): CatalogSource {
  const made = source(backend, {});
  const listed = Object.entries(tools).map(([name, annotations]) => ({
    name,
    description: name,
    inputSchema: { type: "object" },
    annotations,
  }));
  return { ...made, listings: { ...made.listings, tools: listed } };
}

export const READS = { readOnlyHint: true };
export const DESTROYS = { readOnlyHint: false, destructiveHint: true };
