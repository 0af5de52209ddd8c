// Sends spans and metrics to one receiver in the background: a bounded queue, one request at a time, and counted drops.
import { backoffMs } from "../../runtime/time/backoff.ts";
import { type Clock, settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";
import { type OtlpDocument, type Sender, type Span, tracesDocument } from "./otlp-document.ts";

export const MOST_SPANS = 2_048;
const BATCH = 512;
export const BATCH_MS = 5_000;
const RETRY_MS = { first: 1_000, most: 60_000 };
/** Time for the last requests when the exporter is disposed, ms. */
const END_MS = 1_000;

export interface ExportFailure {
  readonly reason: string;
  readonly sinceMs: number;
}

interface ExporterOptions {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly sender: Sender;
  readonly clock: Clock;
  /** null: no metrics are sent. */
  readonly metrics: { readonly intervalMs: number; document(): OtlpDocument } | null;
}

export class Exporter implements AsyncDisposable {
  /** Why the last request failed; null if it succeeded. */
  failure: ExportFailure | null = null;
  /** Spans that did not reach the receiver and will not be sent again. */
  dropped = 0;
  readonly #options: ExporterOptions;
  readonly #ended = new AbortController();
  readonly #queue: Span[] = [];
  #sending: Promise<void> | null = null;
  #failures = 0;
  #timer: Timer | null = null;
  #metricsTimer: Timer | null = null;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#measureLater();
  }

  add(span: Span): void {
    if (this.#ended.signal.aborted || this.#queue.length >= MOST_SPANS) {
      this.dropped += 1;
      return;
    }
    this.#queue.push(span);
    if (this.#sending !== null) return;
    if (this.#timer === null) this.#later(BATCH_MS);
    else if (this.#queue.length === BATCH && this.failure === null) this.#flush();
  }

  /** Sends the queue first, for at most `END_MS`. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    const { clock } = this.#options;
    this.#metricsTimer?.[Symbol.dispose]();
    await settlesWithin(clock, END_MS, this.#sendLast());
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#ended.abort();
  }

  #later(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(delayMs, () => this.#flush());
  }

  #flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (this.#sending !== null || this.#ended.signal.aborted) return;
    this.#sending = this.#sendSpans().finally(() => {
      this.#sending = null;
      if (this.#queue.length === 0 || this.#ended.signal.aborted) return;
      if (this.failure !== null) this.#later(backoffMs(RETRY_MS, this.#failures));
      else this.#later(this.#queue.length >= BATCH ? 0 : BATCH_MS);
    });
  }

  /**
   * Sends all queued spans, one request at a time: two at once would send, and then remove, the same spans.
   */
  async #sendLast(): Promise<void> {
    await this.#sending;
    if (this.failure !== null) return;
    const metrics = this.#sendMetrics();
    while (this.#queue.length > 0 && this.failure === null && !this.#ended.signal.aborted) {
      this.#flush();
      await this.#sending;
    }
    await metrics;
  }

  async #sendSpans(): Promise<void> {
    const batch = this.#queue.slice(0, BATCH);
    const sent = await this.#send("traces", tracesDocument(batch, this.#options.sender));
    if (sent === "failed") return;
    this.#queue.splice(0, batch.length);
    if (sent === "refused") this.dropped += batch.length;
  }

  #measureLater(): void {
    const { metrics, clock } = this.#options;
    if (metrics === null) return;
    this.#metricsTimer = clock.setTimer(metrics.intervalMs, () => {
      void this.#sendMetrics().finally(() => {
        if (!this.#ended.signal.aborted) this.#measureLater();
      });
    });
  }

  /** Metrics are sums since the start, so metrics that fail to arrive need no retry. */
  async #sendMetrics(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics !== null) await this.#send("metrics", metrics.document());
  }

  /** Never rejects. "failed": the receiver may accept the same document later. */
  async #send(what: "traces" | "metrics", document: OtlpDocument) {
    const { endpoint, headers, clock } = this.#options;
    const bytes = Buffer.from(JSON.stringify(document));
    const answer = await boundedRequest({
      address: `${endpoint}/v1/${what}`,
      method: "POST",
      headers: {
        ...headers,
        "content-type": "application/json",
        "content-length": String(bytes.byteLength),
      },
      body: bytes,
      clock,
      signal: this.#ended.signal,
      mostBytes: 0,
    });
    const status = answer.kind === "answered" ? answer.status : null;
    if (status !== null && status >= 200 && status < 300) {
      this.failure = null;
      this.#failures = 0;
      return "accepted";
    }
    const reason = answer.kind === "answered" ? `answers ${status}` : answer.reason;
    const sinceMs = this.failure?.sinceMs ?? clock.wallMs();
    // A path or query may hold a secret.
    this.failure = { reason: `${URL.parse(endpoint)?.origin ?? "the receiver"} ${reason}`, sinceMs };
    this.#failures += 1;
    return answer.kind === "failed" || (status !== null && RETRYABLE.has(status)) ? "failed" : "refused";
  }
}

/** By the OTLP specification. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
