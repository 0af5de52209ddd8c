// The token that `init` and `backends add` make with the first MCP server, for clients over HTTP: kept as a secret, named in the configuration.
import { randomBytes } from "node:crypto";
import type { ConfigEditWire } from "../../api/requests.ts";
import type { ConfigTable } from "../../config/edit/edit-value.ts";
import { tomlLines } from "../../config/edit/toml-value.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { openSecrets } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";

const TOKEN_SECRET = "gateway-token";
export const TOKEN_REFERENCE = `secret:${TOKEN_SECRET}`;
const TOKEN_BYTES = 32;

export const TOKEN_TABLE: ConfigTable = { type: "local", token: TOKEN_REFERENCE };
/** The same as edits of the file. */
export const TOKEN_EDITS: readonly ConfigEditWire[] = Object.entries({
  type: "local",
  token: TOKEN_REFERENCE,
}).map(([key, value]) => ({ key: `incoming_auth.${key}`, value }));
export const TOKEN_BLOCK = ["[incoming_auth]", ...tomlLines(TOKEN_TABLE)].join("\n");

interface TokenWish {
  /** null: nothing was said. */
  readonly asked: boolean | null;
  /** Of the file as it is; empty: there is none. */
  readonly text: string;
  /** null: it is no valid configuration, or there is none. */
  readonly before: ConfigSnapshot["config"] | null;
  /** Whether the file is to have an MCP server that it has not. */
  readonly addsBackend: boolean;
}

/**
 * Whether one is to be made: with the first MCP server, unless the file says who may come in. A gateway that serves
 * something without one gets none by the way, as its clients would be shut out. Throws `usage`.
 */
export function wantsToken({ asked, text, before, addsBackend }: TokenWish): boolean {
  const says = /^[ \t]*(?:\[+[ \t]*"?incoming_auth\b|"?incoming_auth"?[ \t]*[:.=])/m.test(text);
  if (asked === true && says) {
    throw new MountaineerError("usage", "the configuration says already who may come in ([incoming_auth])", {
      hint: "mountaineer config edit changes it",
    });
  }
  if (asked !== null) return asked;
  const isNew = before === null || before.backends.length === 0;
  return !says && isNew && addsBackend;
}

/** Keeps a new one, unless one is kept already, and gives it; null: that one goes on, and is not looked at. */
export async function makeToken(context: CommandContext): Promise<string | null> {
  const keeper = await openSecrets(context);
  const { secrets } = await keeper.list();
  if (secrets.some(({ name, kept }) => name === TOKEN_SECRET && kept !== null)) return null;
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  await keeper.set(TOKEN_SECRET, token, null, context.signal);
  return token;
}

/** Where clients reach the gateway. */
export function clientUrl({ server }: Pick<MountaineerConfig, "server">): string {
  const { host = "127.0.0.1", port = 9000 } = server ?? {};
  return `http://${host}:${port}/mcp`;
}

/** How an agent comes in with it; its value stands there once, where a person reads it. */
export function tokenLines(context: CommandContext, made: string | null, url: string): string[] {
  const shown = made !== null && context.ask !== null ? made : "TOKEN";
  return [
    `over HTTP with the token that is kept as ${TOKEN_REFERENCE}${shown === made ? ", shown this once" : ""}:`,
    `      claude mcp add --transport http mountaineer ${url} --header "Authorization: Bearer ${shown}"`,
    ...(shown === made
      ? []
      : [`      (mountaineer secret set ${TOKEN_SECRET} gives it a value that you know)`]),
  ];
}
