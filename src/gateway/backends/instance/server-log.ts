// The last lines that a server wrote beside the protocol, and rate-limited logging of invalid messages.
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import type { InstanceOptions } from "./backend-instance.ts";

const MOST_LINES = 200;
const BETWEEN_WARNINGS_MS = 60_000;

export class ServerLog {
  /** Oldest first. */
  readonly lines: string[] = [];
  readonly #options: InstanceOptions;
  readonly #redaction = createRedaction();
  #invalid = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: InstanceOptions) {
    this.#options = options;
    for (const secret of options.secrets ?? []) this.#redaction.redact(secret);
  }

  /** Takes the secrets out of a text. */
  clean(text: string): string {
    return this.#redaction.clean(text);
  }

  keep(line: string): void {
    const { backend, logger } = this.#options;
    this.lines.push(line);
    if (this.lines.length > MOST_LINES) this.lines.shift();
    logger.debug("a backend writes", { backend, line });
  }

  /** Logs the first invalid message, and then at most one a minute with how many there were since. */
  invalid(reason: string): void {
    const { backend, clock, logger } = this.#options;
    this.#invalid++;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#warnedAtMs < BETWEEN_WARNINGS_MS) return;
    logger.warn("a backend sends what is no MCP message", { backend, reason, count: this.#invalid });
    this.#warnedAtMs = nowMs;
    this.#invalid = 0;
  }
}
