// Owns which log messages pass: the lowest level wanted by anyone is asked of the server, each client gets its own.
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, type McpLogLevel } from "../../protocol.ts";
import type { Ask } from "./pending.ts";

interface LogLevelOptions {
  readonly ask: Ask;
  readonly timeoutMs: number;
  /** Whether the server declares `logging`. */
  readonly supported: () => boolean;
}

interface ServerLogLevel {
  /** What the server was told last; null: nothing, it logs as it likes. */
  readonly told: McpLogLevel | null;
  want(level: McpLogLevel | null): void;
  /** Tells the server where it differs; resolves when it has answered. */
  tell(): Promise<void>;
  /** A new session knows nothing yet. */
  forgotten(): void;
}

export function createServerLogLevel(
  wantedFirst: McpLogLevel | null,
  options: LogLevelOptions,
): ServerLogLevel {
  let wanted = wantedFirst;
  let told: McpLogLevel | null = null;
  return {
    get told() {
      return told;
    },
    want(level) {
      wanted = level;
    },
    async tell() {
      // There is no way to take a level back, so null leaves the last one; clients are filtered each for itself.
      if (wanted === null || wanted === told || !options.supported()) return;
      told = wanted;
      await options.ask("logging/setLevel", { level: wanted }, options.timeoutMs);
    },
    forgotten() {
      told = null;
    },
  };
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
