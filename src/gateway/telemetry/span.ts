// One step of a trace, finished. Names and numbers alone: nothing that a client or a server wrote.

export type Attribute = readonly [key: string, value: string | number];

/** As OpenTelemetry numbers them. */
export const SPAN_KINDS = { server: 2, client: 3 } as const;

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** null: the trace begins here. */
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly kind: keyof typeof SPAN_KINDS;
  /** Wall ms. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: readonly Attribute[];
  /** What kind of error it was, as `error.type`; null: none. */
  readonly error: string | null;
}
