// The token that HTTP clients send. It is made together with the first MCP server, and stored as a secret.
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { TOKEN_SECRET } from "../secret-names.ts";
import { tomlLines } from "./toml-value.ts";

export const TOKEN_REFERENCE = `secret:${TOKEN_SECRET}`;
const TOKEN_BYTES = 32;

export const TOKEN_TABLE = { type: "local", token: TOKEN_REFERENCE };
export const TOKEN_EDITS = Object.entries(TOKEN_TABLE).map(([key, value]) => ({
  ...{ key: `incoming_auth.${key}`, value },
}));
export const TOKEN_BLOCK = ["[incoming_auth]", ...tomlLines(TOKEN_TABLE)].join("\n");

interface TokenOptions {
  /** true: a person asked for a token; false: a person asked for none; null: neither. */
  readonly requested: boolean | null;
  /** The text of the file before the edit; empty: there is no file. */
  readonly text: string;
  readonly hasBackend: boolean;
  readonly addsBackend: boolean;
}

/**
 * Whether the edit also makes a token. If `requested` is null, only the first MCP server causes a token, and only without
 * `[incoming_auth]` in the file: a new token would lock out the clients of a gateway that already serves without one.
 * Throws `usage` if a token is asked for although the file has `[incoming_auth]`.
 */
export function wantsToken({ requested, text, hasBackend, addsBackend }: TokenOptions): boolean {
  const mentions = /^[ \t]*(?:\[+[ \t]*"?incoming_auth\b|"?incoming_auth"?[ \t]*[:.=])/m.test(text);
  if (requested === true && mentions) {
    throw new MountaineerError("usage", "the configuration says already who may come in ([incoming_auth])", {
      hint: `${shellCommand`mountaineer secret set ${TOKEN_SECRET}`} gives the token a value that you know; the rest is changed in the file`,
    });
  }
  if (requested !== null) return requested;
  return !mentions && !hasBackend && addsBackend;
}

/** A random token of characters that need no escapes in a header or URL. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace("=", "");
}
