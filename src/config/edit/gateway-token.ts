// The token that HTTP clients send, made with the first MCP server: kept as a secret, named in the configuration.
import { MountaineerError } from "../../runtime/errors.ts";
import { tomlLines } from "./toml-value.ts";

export const TOKEN_SECRET = "gateway-token";
export const TOKEN_REFERENCE = `secret:${TOKEN_SECRET}`;
const TOKEN_BYTES = 32;

export const TOKEN_TABLE = { type: "local", token: TOKEN_REFERENCE };
/** The same as edits of the file. */
export const TOKEN_EDITS = Object.entries(TOKEN_TABLE).map(([key, value]) => ({
  ...{ key: `incoming_auth.${key}`, value },
}));
export const TOKEN_BLOCK = ["[incoming_auth]", ...tomlLines(TOKEN_TABLE)].join("\n");

interface TokenOptions {
  /** null: nothing was said. */
  readonly asked: boolean | null;
  /** Of the file as it is; empty: there is none. */
  readonly text: string;
  /** Whether it has an MCP server already. */
  readonly hasBackend: boolean;
  /** Whether it is to have one that it has not. */
  readonly addsBackend: boolean;
}

/**
 * Whether one is to be made: with the first MCP server, unless the file says who may come in. A gateway that serves
 * something without one gets none by the way, as its clients would be shut out. Throws `usage`.
 */
export function wantsToken({ asked, text, hasBackend, addsBackend }: TokenOptions): boolean {
  const says = /^[ \t]*(?:\[+[ \t]*"?incoming_auth\b|"?incoming_auth"?[ \t]*[:.=])/m.test(text);
  if (asked === true && says) {
    throw new MountaineerError("usage", "the configuration says already who may come in ([incoming_auth])", {
      hint: `mountaineer secret set ${TOKEN_SECRET} gives the token a value that you know; mountaineer config edit changes the rest`,
    });
  }
  if (asked !== null) return asked;
  return !says && !hasBackend && addsBackend;
}

/** Of letters that a header and a URL take as they are. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace("=", "");
}
