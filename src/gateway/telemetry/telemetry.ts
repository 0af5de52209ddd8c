// Records traces and metrics of requests, and sends or serves them as configured.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { TelemetryConfig } from "../../config/snapshot.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { missingText, referenceKey, resolveReference, type SecretValues } from "../../secrets/reference.ts";
import type { PoolCall } from "../backends/policy/backend-pool-contract.ts";
import type { MetricsAnswer } from "../frontend/session/front-contract.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import {
  type GatewayRequest,
  type Middleware,
  RUN_SCRIPT,
  type TraceHeaders,
} from "../middleware/middleware.ts";
import { METHODS } from "../middleware/own-answers.ts";
import { subjectOf } from "../middleware/request-target.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { CallMetrics, type RequestLabels } from "./call-metrics.ts";
import { Exporter, type ExportFailure } from "./exporter.ts";
import { families, type Measured, prometheusText } from "./metric-families.ts";
import { type Attribute, metricsDocument, type OtlpDocument, type Span } from "./otlp-document.ts";

export interface TelemetryTools {
  readonly clock: Clock;
  readonly environment: SecretValues;
  readonly redact: (secret: string) => void;
  readonly version: string;
  /** The current values of measurements that are made elsewhere. */
  readonly measured: () => readonly Measured[];
}

export class Telemetry implements AsyncDisposable {
  readonly middleware: Middleware = (next) => (request) => this.#measure(request, next);
  readonly #config: TelemetryConfig;
  readonly #tools: TelemetryTools;
  readonly #calls = new CallMetrics();
  readonly #exporter: Exporter | null;
  readonly #missing: readonly string[];
  readonly #metricsToken: string | null;
  readonly #startMs: number;

  constructor(config: TelemetryConfig, tools: TelemetryTools) {
    const { clock, environment, redact, version } = tools;
    this.#config = config;
    this.#tools = tools;
    this.#startMs = clock.wallMs();
    const missing = new Set<string>();
    const secretOf = (reference: TelemetryConfig["headers"][string]): string | null => {
      const found = resolveReference(reference, environment);
      if (!found.ok || found.value === "") {
        missing.add(referenceKey(reference));
        return null;
      }
      redact(found.value);
      return found.value;
    };
    const headers = Object.entries(config.headers).map(([name, reference]) => [
      name,
      secretOf(reference) ?? "",
    ]);
    const canSend = missing.size === 0;
    this.#metricsToken = config.metricsToken === null ? null : secretOf(config.metricsToken);
    this.#missing = [...missing];
    const sender = {
      serviceName: config.serviceName,
      version,
      instanceId: randomBytes(8).toString("hex"),
    };
    const document = (): OtlpDocument =>
      metricsDocument(this.#families(), sender, { startMs: this.#startMs, endMs: clock.wallMs() });
    this.#exporter =
      config.endpoint === null || !canSend
        ? null
        : new Exporter({
            endpoint: config.endpoint,
            headers: Object.fromEntries(headers),
            sender,
            clock,
            metrics: config.metrics ? { intervalMs: config.intervalMs, document } : null,
          });
  }

  /** The reason if traces or metrics do not arrive; null if no failure is known. */
  get failure(): (Omit<ExportFailure, "sinceMs"> & { readonly sinceMs?: number }) | null {
    if (this.#missing.length > 0) return { reason: missingText(this.#missing) };
    return this.#exporter?.failure ?? null;
  }

  /** Number of spans that did not reach the receiver. */
  get dropped(): number {
    return this.#exporter?.dropped ?? 0;
  }

  /**
   * Returns a copy of the pool with a span around each call; the server gets that span's trace context.
   * `pool` must be a plain object.
   */
  traced(pool: RoutingServices["pool"]): RoutingServices["pool"] {
    if (!this.#isTracing) return pool;
    return { ...pool, call: (backend, call) => this.#tracedCall(pool, backend, call) };
  }

  /** Returns null if `/metrics` is not configured. `isOwnMachine`: the request comes from this machine. */
  metrics(authorization: string | undefined, isOwnMachine: boolean): MetricsAnswer | null {
    const { prometheus, metricsToken } = this.#config;
    if (!prometheus) return null;
    if (metricsToken === null) {
      if (!isOwnMachine) return { kind: "foreign" };
    } else if (this.#metricsToken === null || !bearerMatches(authorization, this.#metricsToken)) {
      return { kind: "token_needed" };
    }
    return { kind: "text", text: prometheusText(this.#families()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exporter?.[Symbol.asyncDispose]();
  }

  get #isTracing(): boolean {
    return this.#config.traces && this.#exporter !== null;
  }

  #families(): ReturnType<typeof families> {
    const dropped: Measured = {
      name: "mountaineer.telemetry.dropped",
      help: "Spans that did not reach their receiver.",
      kind: "counter",
      values: [{ labels: {}, value: this.dropped }],
    };
    return families([...this.#calls.kinds], [...this.#tools.measured(), dropped]);
  }

  async #measure(request: GatewayRequest, next: (request: GatewayRequest) => Promise<Reply>): Promise<Reply> {
    const { clock } = this.#tools;
    const named = namesOf(request);
    const parent = this.#isTracing ? contextOf(request.params, request.trace) : null;
    const context = this.#isTracing ? this.#begin(parent) : null;
    const startMs = clock.wallMs();
    const startedMs = clock.monotonicMs();
    let outcome = "failed";
    try {
      const params = context === null ? request.params : withContext(request.params, context);
      const reply = await next(context === null ? request : { ...request, params });
      outcome = outcomeOf(request, reply);
      return reply;
    } finally {
      const tookMs = clock.monotonicMs() - startedMs;
      this.#calls.record(named, outcome, tookMs / 1000);
      if (context?.sampled === true) {
        this.#exporter?.add({
          ...context,
          parentSpanId: parent?.spanId ?? null,
          name: named.target === "" ? named.method : `${named.method} ${named.target}`,
          kind: "server",
          startMs,
          endMs: startMs + tookMs,
          attributes: attributesOf(named, request),
          error: outcome === "ok" ? null : outcome,
        });
      }
    }
  }

  async #tracedCall(pool: RoutingServices["pool"], backend: string, call: PoolCall): Promise<Reply> {
    const parent = contextOf(call.params, undefined);
    if (parent === null || !parent.sampled) return pool.call(backend, call);
    const { clock } = this.#tools;
    const context = { ...parent, spanId: newId(8) };
    const startMs = clock.wallMs();
    const startedMs = clock.monotonicMs();
    let error: string | null = "failed";
    try {
      const reply = await pool.call(backend, { ...call, params: withContext(call.params, context) });
      error = isError(reply) ? errorKind(reply.error.code) : null;
      return reply;
    } finally {
      const method = knownMethod(call.method);
      const span: Span = {
        ...context,
        parentSpanId: parent.spanId,
        name: `${method} ${backend}`,
        kind: "client",
        startMs,
        endMs: startMs + clock.monotonicMs() - startedMs,
        attributes: [
          ["rpc.system", "jsonrpc"],
          ["mcp.method.name", method],
          ["mountaineer.backend", backend],
        ],
        error,
      };
      this.#exporter?.add(span);
    }
  }

  /**
   * Continues the client's trace, sampled if the client's is; or begins one, sampled as the setting `sample`
   * says.
   */
  #begin(parent: TraceContext | null): TraceContext {
    if (parent !== null) return { ...parent, spanId: newId(8) };
    const traceId = newId(16);
    // The trace id decides, so that other programs with the same setting sample the same traces.
    const share = Number.parseInt(traceId.slice(-8), 16) / 0x1_0000_0000;
    return { traceId, spanId: newId(8), sampled: share < this.#config.sample, state: null };
  }
}

/**
 * The labels contain names of tools and prompts in the catalog. They contain no URIs, because a URI may contain
 * anything.
 */
function namesOf(request: GatewayRequest): RequestLabels {
  const { method, served, script, through, handle } = request;
  const known = knownMethod(method);
  if (script !== undefined && through === undefined)
    return { method: known, backend: "", target: RUN_SCRIPT };
  const target = subjectOf(request);
  const found = target === null ? null : served.ownerOf(handle.client.principal, target);
  if (target === null || found === null) return { method: known, backend: "", target: "" };
  const isNamed = target.kind === "tool" || target.kind === "prompt";
  return { method: known, backend: found.backend, target: isNamed ? target.name : "" };
}

function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "other";
}

function attributesOf({ method, backend, target }: RequestLabels, { handle }: GatewayRequest): Attribute[] {
  return [
    ["rpc.system", "jsonrpc"],
    ["mcp.method.name", method],
    ["mcp.protocol.version", handle.client.protocolVersion],
    ...(target === "" ? [] : [["gen_ai.tool.name", target] as const]),
    ...(backend === "" ? [] : [["mountaineer.backend", backend] as const]),
  ];
}

function outcomeOf({ method, signal }: GatewayRequest, reply: Reply): string {
  if (isError(reply)) return signal.aborted ? "cancelled" : errorKind(reply.error.code);
  return method === "tools/call" && reply.result["isError"] === true ? "tool_error" : "ok";
}

/** Only JSON-RPC's own codes are distinguished, since servers may use any number of other codes. */
function errorKind(code: number): string {
  return code >= -32_768 && code <= -32_000 ? String(code) : "error";
}

function newId(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

/** Compares in constant time. */
function bearerMatches(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  return given !== undefined && timingSafeEqual(digestOf(given), digestOf(token));
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}

// W3C trace context: read from a header or from `_meta` (SEP-414), and written for the next server. Pure.

interface TraceContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** The parent of the next span; 16 digits. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** The `tracestate`, passed on unchanged; null: none. */
  readonly state: string | null;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const LONGEST_STATE = 512;
const SAMPLED = 1;

/** Returns null if `traceparent` is not valid. */
export function readContext(traceparent: unknown, tracestate: unknown): TraceContext | null {
  if (typeof traceparent !== "string") return null;
  const match = TRACEPARENT.exec(traceparent);
  if (match === null) return null;
  const [, version = "", traceId = "", spanId = "", flags = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  const isState = typeof tracestate === "string" && tracestate !== "" && tracestate.length <= LONGEST_STATE;
  return {
    traceId,
    spanId,
    sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0,
    state: isState && /^[\x20-\x7e]*$/.test(tracestate) ? tracestate : null,
  };
}

export function traceparentOf({ traceId, spanId, sampled }: Omit<TraceContext, "state">): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

/** The context in the request's params has precedence over the headers, which a proxy may have set. */
export function contextOf(params: JsonObject | undefined, headers: TraceHeaders | undefined) {
  const meta = params?.["_meta"];
  const own = isJsonObject(meta) ? readContext(meta["traceparent"], meta["tracestate"]) : null;
  if (own !== null || headers === undefined) return own;
  return readContext(headers.traceparent, headers.tracestate);
}

/** The params with this context in their `_meta`. */
export function withContext(params: JsonObject | undefined, context: TraceContext): JsonObject {
  const given = params?.["_meta"];
  const { traceparent: _, tracestate: __, ...meta } = isJsonObject(given) ? given : {};
  const state = context.state === null ? {} : { tracestate: context.state };
  return { ...params, _meta: { ...meta, traceparent: traceparentOf(context), ...state } };
}
