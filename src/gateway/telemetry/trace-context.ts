// W3C trace context: read from a header or from `_meta` (SEP-414), and written for whoever is asked next. Pure.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { TraceHeaders } from "../middleware/middleware.ts";

export interface TraceContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** The span that becomes the parent of what comes next; 16 digits. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** Passed on as it came. */
  readonly state: string | null;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const LONGEST_STATE = 512;
const SAMPLED = 1;

/** Null: it is none, or not a valid one. */
export function readContext(traceparent: unknown, tracestate: unknown): TraceContext | null {
  if (typeof traceparent !== "string" || traceparent.length > 256) return null;
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

/** What the request itself says goes before the header that carried it: a header may be a proxy's. */
export function contextOf(
  params: JsonObject | undefined,
  headers: TraceHeaders | undefined,
): TraceContext | null {
  const meta = params?.["_meta"];
  const own = isJsonObject(meta) ? readContext(meta["traceparent"], meta["tracestate"]) : null;
  if (own !== null || headers === undefined) return own;
  return readContext(headers.traceparent, headers.tracestate);
}

/** The params with this context in their `_meta`, and all else as it was. */
export function withContext(params: JsonObject | undefined, context: TraceContext): JsonObject {
  const given = params?.["_meta"];
  const { traceparent: _, tracestate: __, ...meta } = isJsonObject(given) ? given : {};
  const state = context.state === null ? {} : { tracestate: context.state };
  return { ...params, _meta: { ...meta, traceparent: traceparentOf(context), ...state } };
}
