// The last lines that a server wrote beside the protocol, and rate-limited logging of invalid messages.
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, type McpLogLevel, MODERN_VERSION } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { ServerSession } from "./session.ts";

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

// Log levels: the server is asked for the lowest that any client wants, and each client gets its own.

/** How long calls that want a lower level wait until the server has answered that it is set, ms. */
const ANSWERED_MS = 1_000;

/** The level that a server is asked for. */
export class ServerLogLevel {
  /** What the server was told last; null: nothing, it logs as it likes. */
  told: McpLogLevel | null = null;
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  readonly #mayOvertake: () => boolean;
  #wanted: McpLogLevel | null;
  #answering: Promise<void> | null = null;
  /** What the server has answered last. */
  #answered: McpLogLevel | null = null;

  /** `mayOvertake`: the server may get a message before one that was sent earlier. */
  constructor(options: InstanceOptions, session: ServerSession, mayOvertake: () => boolean) {
    this.#options = options;
    this.#session = session;
    this.#mayOvertake = mayOvertake;
    this.#wanted = options.logLevel;
  }

  /** What the server was asked to say in everybody's calls; null: nothing. One of 2026-07-28 is asked in each. */
  get raised(): McpLogLevel | null {
    return this.#session.result?.protocolVersion === MODERN_VERSION ? null : this.told;
  }

  want(level: McpLogLevel | null): void {
    this.#wanted = level;
  }

  /** Sends the level to the server if it is another one; resolves when the server has answered, or is late with it. */
  send(): Promise<void> {
    const level = this.#wanted;
    // There is no way to take a level back, so null leaves the last one; clients are filtered each for itself.
    if (level === null || level === this.told || !this.#session.declares("logging")) {
      return this.#answering ?? Promise.resolve();
    }
    if (this.#answering !== null && this.#mayOvertake()) return this.#answering.then(() => this.send());
    this.told = level;
    const { clock, listMs } = this.#options;
    const asked = this.#session.ask("logging/setLevel", { level }, listMs);
    const answering = settledWithin(clock, ANSWERED_MS, asked).then(() => {
      if (this.#answering !== answering) return;
      this.#answering = null;
      this.#answered = level;
    });
    this.#answering = answering;
    return answering;
  }

  /** What a call waits for whose client wants that level; null: nothing. */
  before(level: McpLogLevel | null): Promise<void> | null {
    if (this.#answering === null || level === null || !this.#mayOvertake()) return null;
    const isLower = this.#answered === null || LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.#answered);
    return isLower ? this.#answering : null;
  }

  /** A new session knows nothing yet. */
  forgotten(): void {
    this.told = null;
    this.#answering = null;
    this.#answered = null;
  }
}

/**
 * Whether a log message passes to a client. Who never set a level gets what the server sends of itself; once another
 * client made it say more, as if it had asked for `info`. A level that is none of MCP's passes.
 */
export function passesLogLevel(
  params: JsonObject | undefined,
  client: ClientPort,
  raised: McpLogLevel | null,
): boolean {
  const level = params?.["level"];
  if (!isLogLevel(level)) return true;
  const least = client.logLevel ?? (raised === null ? null : "info");
  return least === null || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}
