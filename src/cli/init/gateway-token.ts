// The token for HTTP clients that `init`, `import` and `backends add` make with the first MCP server.
import { storedNames } from "../../api/setup/home-secrets.ts";
import { newToken, TOKEN_REFERENCE } from "../../config/edit/gateway-token.ts";
import { TOKEN_SECRET } from "../../config/secret-names.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import type { Signals, Target, Terminal } from "../input/command.ts";

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

/**
 * Lines that show how a client sends the token. The value of a new token is shown only at a terminal, and
 * only once.
 */
export function tokenLines(context: Terminal, made: string | null, url: string): string[] {
  const shown = made !== null && context.prompt !== null ? made : "TOKEN";
  return [
    `over HTTP with the token that is stored as ${TOKEN_REFERENCE}${shown === made ? ", shown this once" : ""}:`,
    `      ${shellCommand`claude mcp add --transport http mountaineer ${url} --header ${`Authorization: Bearer ${shown}`}`}`,
    ...(shown === made
      ? []
      : [`      (${shellCommand`mountaineer secret set ${TOKEN_SECRET}`} gives it a value that you know)`]),
  ];
}
