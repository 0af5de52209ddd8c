// Receives request bodies: each with a size limit and a minimum speed, and all together with a total limit. Over the total,
// the oldest body of the sender with the most bytes is refused.
import type { IncomingMessage } from "node:http";
import { ShortLivedSet } from "../short-lived.ts";
import { GatheredBytes } from "../text/gathered-bytes.ts";
import type { Clock, Timer } from "../time/clock.ts";

const TOTAL_LIMIT_BYTES = 256 * 1024 * 1024;
/** A body may take this time, and a second more for each `LEAST_BYTES_A_SECOND` received. */
const GRACE_MS = 15_000;
const LEAST_BYTES_A_SECOND = 16 * 1024;
const CHECK_MS = 5_000;

export type ReceivedBody =
  | { readonly kind: "whole"; readonly bytes: Buffer }
  | { readonly kind: "too_large" }
  | { readonly kind: "busy" }
  | { readonly kind: "too_slow" };

interface Intake {
  readonly request: IncomingMessage;
  readonly limitBytes: number;
  /** Identifies the sender, for a fair share of the total limit. */
  readonly sender: string;
  /** Called once, or never if the client disconnects first. */
  readonly done: (body: ReceivedBody) => void;
}

interface Receiving {
  readonly sender: string;
  readonly beganMs: number;
  size: number;
  refuse(kind: Exclude<ReceivedBody["kind"], "whole">): void;
}

export class BodyIntake implements Disposable {
  readonly #clock: Clock;
  readonly #totalLimitBytes: number;
  /** Incomplete bodies, oldest first. */
  readonly #receiving = new ShortLivedSet<Receiving>();
  #total = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, totalLimitBytes: number = TOTAL_LIMIT_BYTES) {
    this.#clock = clock;
    this.#totalLimitBytes = totalLimitBytes;
  }

  receive({ request, limitBytes, sender, done }: Intake): void {
    const declared = request.headers["content-length"];
    if (declared !== undefined && Number(declared) > limitBytes) {
      done({ kind: "too_large" });
      return;
    }
    // A body may have a limit above the total; then no other body is received with it.
    const allLimit = Math.max(this.#totalLimitBytes, limitBytes);
    const gathered = new GatheredBytes();
    const body: Receiving = {
      sender,
      beganMs: this.#clock.monotonicMs(),
      size: 0,
      refuse: (kind) => {
        if (!close()) return;
        gathered.clear();
        request.removeListener("data", onData);
        done({ kind });
      },
    };
    /** Ends the receiving of this body; returns false if it was complete or refused before. */
    const close = (): boolean => {
      this.#total -= body.size;
      body.size = 0;
      return this.#receiving.delete(body);
    };
    const onData = (chunk: Buffer): void => {
      body.size += chunk.length;
      this.#total += chunk.length;
      if (body.size > limitBytes) {
        body.refuse("too_large");
        return;
      }
      gathered.push(chunk);
      while (this.#total > allLimit) this.#oldestOfLargestSender().refuse("busy");
    };
    this.#add(body);
    request.on("data", onData);
    request.on("end", () => {
      if (close()) done({ kind: "whole", bytes: gathered.take() });
    });
    request.on("close", close);
  }

  /** Ends the checks of speed. Incomplete bodies are still received. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #add(body: Receiving): void {
    this.#receiving.add(body);
    this.#timer ??= this.#clock.setTimer(CHECK_MS, this.#checkSpeeds);
  }

  #oldestOfLargestSender(): Receiving {
    const sums = new Map<string, { bytes: number; readonly oldest: Receiving }>();
    let largest: { bytes: number; readonly oldest: Receiving } | null = null;
    for (const body of this.#receiving) {
      if (body.size === 0) continue;
      const sum = sums.get(body.sender) ?? { bytes: 0, oldest: body };
      sum.bytes += body.size;
      sums.set(body.sender, sum);
      if (largest === null || sum.bytes > largest.bytes) largest = sum;
    }
    if (largest === null) throw new RangeError("nothing is being received");
    return largest.oldest;
  }

  readonly #checkSpeeds = (): void => {
    const nowMs = this.#clock.monotonicMs();
    for (const body of [...this.#receiving]) {
      const allowedMs = GRACE_MS + (body.size / LEAST_BYTES_A_SECOND) * 1_000;
      if (nowMs - body.beganMs > allowedMs) body.refuse("too_slow");
    }
    this.#timer = this.#receiving.size > 0 ? this.#clock.setTimer(CHECK_MS, this.#checkSpeeds) : null;
  };
}
