// Sends spans and metrics to one receiver: a bounded queue, one request at a time, and counted drops. Nobody waits for it.
import type { OtlpProtocol } from "../../config/snapshot.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";
import {
  type EncodedDocument,
  encodeOtlp,
  type OtlpDocument,
  type Sender,
  type Span,
  tracesDocument,
} from "./otlp-document.ts";

export const MOST_SPANS = 2_048;
const BATCH = 512;
export const BATCH_MS = 5_000;
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60_000;
const LAST_WORD_MS = 1_000;

export interface ExportFailure {
  readonly reason: string;
  readonly sinceMs: number;
}

interface ExporterOptions {
  readonly endpoint: string;
  readonly protocol: OtlpProtocol;
  readonly headers: Readonly<Record<string, string>>;
  readonly sender: Sender;
  readonly clock: Clock;
  /** null: none are sent. */
  readonly metrics: { readonly intervalMs: number; document(): OtlpDocument } | null;
}

export class Exporter implements AsyncDisposable {
  /** Why the last try failed; null: it did not. */
  failure: ExportFailure | null = null;
  /** Spans that never came to the receiver. */
  dropped = 0;
  readonly #options: ExporterOptions;
  readonly #ended = new AbortController();
  readonly #queue: Span[] = [];
  #sending: Promise<void> | null = null;
  #pauseMs = FIRST_PAUSE_MS;
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

  /** What is queued has a second to be taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    const { clock } = this.#options;
    this.#metricsTimer?.[Symbol.dispose]();
    const last = (async () => {
      await this.#sending;
      if (this.failure === null) await Promise.all([this.#sendAll(), this.#sendMetrics()]);
    })();
    await settledWithin(clock, LAST_WORD_MS, last);
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
      this.#later(this.failure === null && this.#queue.length >= BATCH ? 0 : this.#pause());
    });
  }

  #pause(): number {
    return this.failure === null ? BATCH_MS : this.#pauseMs;
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0 && this.failure === null && !this.#ended.signal.aborted)
      await this.#sendSpans();
  }

  async #sendSpans(): Promise<void> {
    if (this.#queue.length === 0) return;
    const batch = this.#queue.slice(0, BATCH);
    const sent = await this.#send("traces", tracesDocument(batch, this.#options.sender));
    if (sent.kind === "later") return;
    this.#queue.splice(0, batch.length);
    if (sent.kind === "refused") this.dropped += batch.length;
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

  /** They are sums since the start: what is not taken now is in the next ones. */
  async #sendMetrics(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics !== null) await this.#send("metrics", metrics.document());
  }

  async #send(what: "traces" | "metrics", document: OtlpDocument): Promise<Sent> {
    const { endpoint, protocol, headers, clock } = this.#options;
    const sent = await sendDocument(`${endpoint}/v1/${what}`, encodeOtlp(document, protocol), {
      headers,
      clock,
      signal: this.#ended.signal,
    });
    if (sent.kind === "taken") {
      this.failure = null;
      this.#pauseMs = FIRST_PAUSE_MS;
    } else {
      const isFirst = this.failure === null;
      this.failure = {
        reason: `${originOf(endpoint)} ${sent.reason}`,
        sinceMs: this.failure?.sinceMs ?? clock.wallMs(),
      };
      this.#pauseMs = isFirst ? FIRST_PAUSE_MS : Math.min(2 * this.#pauseMs, LAST_PAUSE_MS);
    }
    return sent;
  }
}

/** A path or query may hold a secret. */
function originOf(endpoint: string): string {
  return URL.parse(endpoint)?.origin ?? "the receiver";
}

// Sends one document, bounded in time. What is answered is thrown away, save whether it was taken.

type Sent =
  | { readonly kind: "taken" }
  /** The same again may be taken later. `reason` goes after an address: "answers 503". */
  | { readonly kind: "later"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

interface SendOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Never rejects. Redirects are not followed. */
export function sendDocument(
  address: string,
  { type, bytes }: EncodedDocument,
  { headers, clock, signal }: SendOptions,
): Promise<Sent> {
  const own = { "content-type": type, "content-length": bytes.byteLength };
  const later = (reason: string): Sent => ({ kind: "later", reason });
  return boundedRequest<Sent>({
    address,
    options: { method: "POST", headers: { ...headers, ...own } },
    body: bytes,
    clock,
    signal,
    givenUp: later,
    failed: (error) => later(`cannot be reached: ${systemErrorCode(error) ?? errorText(error)}`),
    refused: (error) => ({ kind: "refused", reason: `cannot be asked: ${errorText(error)}` }),
    read(response, settle) {
      const { statusCode = 0 } = response;
      response.resume();
      if (statusCode >= 200 && statusCode < 300) settle({ kind: "taken" });
      else if (RETRYABLE.has(statusCode)) settle(later(`answers ${statusCode}`));
      else settle({ kind: "refused", reason: `answers ${statusCode}` });
    },
  });
}

/** Of the OTLP specification. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
