// The token for HTTP clients that `init`, `import` and `backends add` make with the first MCP server.
import { connect } from "node:net";
import { storedNames } from "../../api/setup/home-secrets.ts";
import { newToken, TOKEN_REFERENCE } from "../../config/edit/gateway-token.ts";
import { TOKEN_SECRET } from "../../config/secret-names.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import type { Signals, Target, Terminal } from "../input/command.ts";
import { findDaemon } from "../sessions/control-session.ts";

/**
 * Makes and keeps a token, and resolves with its value. If a token is stored already, keeps that one and
 * resolves with null.
 */
export async function makeToken(context: Target & Signals): Promise<string | null> {
  const store = await openSecrets(context);
  if (storedNames(await store.list()).has(TOKEN_SECRET)) return null;
  const token = newToken();
  await store.set(TOKEN_SECRET, token, null, context.signal);
  return token;
}

export function clientUrl({ server }: Pick<MountaineerConfig, "server">): string {
  const { host = "127.0.0.1", port = 9000 } = server ?? {};
  return `http://${host}:${port}/mcp`;
}

/** How long another program may take to accept a connection, ms. */
const PROBE_MS = 1_000;

/** Why no token may be sent to the gateway's address now: another program may get it. null: it may be sent. */
export async function unservedBecause(
  context: Target & Signals,
  { server }: Pick<MountaineerConfig, "server">,
): Promise<string | null> {
  const daemon = await findDaemon(context);
  if (daemon !== null) {
    const { gateway } = await daemon.call("status", null, context.signal);
    if (gateway !== undefined && gateway.url !== null) return null;
    const failure = gateway?.conditions.find(({ code }) => code === "listen_failed");
    if (failure !== undefined) return failure.title;
  }
  const { host = "127.0.0.1", port = 9000 } = server ?? {};
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, timeout: PROBE_MS }, () => resolve(true));
  for (const event of ["error", "timeout"] as const) socket.once(event, () => resolve(false));
  const isTaken = await promise;
  socket.destroy();
  return isTaken ? `another program listens at ${host}:${port}` : null;
}

/**
 * Lines that show how a client sends the token. The value of a new token is shown only at a terminal, and only once. `unserved`: why no
 * address can be named now.
 */
export function tokenLines(
  context: Terminal,
  made: string | null,
  url: string,
  unserved: string | null = null,
): string[] {
  const shown = made !== null && context.prompt !== null ? made : "TOKEN";
  return [
    `over HTTP with the token that is stored as ${TOKEN_REFERENCE}${shown === made ? ", shown this once" : ""}:`,
    unserved === null
      ? `      ${shellCommand`claude mcp add --transport http mountaineer ${url} --header ${`Authorization: Bearer ${shown}`}`}`
      : `      not now: ${printable(unserved)}`,
    ...(shown === made
      ? []
      : [`      (${shellCommand`mountaineer secret set ${TOKEN_SECRET}`} gives it a value that you know)`]),
  ];
}
