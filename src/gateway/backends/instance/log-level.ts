// Log levels: the server is asked for the lowest that any client wants, and each client gets its own.
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, type McpLogLevel } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { ServerSession } from "./session.ts";

/** The level that a server is asked for. */
export class ServerLogLevel {
  /** What the server was told last; null: nothing, it logs as it likes. */
  told: McpLogLevel | null = null;
  readonly #session: ServerSession;
  readonly #timeoutMs: number;
  #wanted: McpLogLevel | null;

  constructor({ logLevel, listMs }: InstanceOptions, session: ServerSession) {
    this.#session = session;
    this.#timeoutMs = listMs;
    this.#wanted = logLevel;
  }

  want(level: McpLogLevel | null): void {
    this.#wanted = level;
  }

  /** Sends the level to the server if it is another one; resolves when the server has answered. */
  async send(): Promise<void> {
    const level = this.#wanted;
    // There is no way to take a level back, so null leaves the last one; clients are filtered each for itself.
    if (level === null || level === this.told || !this.#session.declares("logging")) return;
    this.told = level;
    await this.#session.ask("logging/setLevel", { level }, this.#timeoutMs);
  }

  /** A new session knows nothing yet. */
  forgotten(): void {
    this.told = null;
  }
}

/**
 * Whether a log message passes to a client. Who never set a level gets what the server sends of itself; once another
 * client made it say more, as if it had asked for `info`. A level that is none of MCP's passes.
 */
export function passesLogLevel(
  params: JsonObject | undefined,
  client: ClientPort,
  told: McpLogLevel | null,
): boolean {
  const level = params?.["level"];
  if (!isLogLevel(level)) return true;
  const least = client.logLevel ?? (told === null ? null : "info");
  return least === null || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}
