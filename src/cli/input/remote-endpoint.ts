// `--url` and `--token-file`: the daemon of another machine, and the token for its management API.
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import { readAddress } from "../../config/values/address.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";

/**
 * The variable that holds the token for `--url`. No argument holds the token, because other users of the
 * machine can read arguments.
 */
const TOKEN_VARIABLE = "MOUNTAINEER_MANAGEMENT_TOKEN";

interface GivenEndpoint {
  readonly url: unknown;
  readonly tokenFile: unknown;
}

/** The address and token of another machine's daemon; null for the home's own daemon. Rejects with `usage`. */
export async function remoteEndpoint(
  { configPath, signal }: { readonly configPath: string | null; readonly signal: AbortSignal },
  { url, tokenFile }: GivenEndpoint,
): Promise<HttpEndpoint | null> {
  const file = typeof tokenFile === "string" ? tokenFile : null;
  if (typeof url !== "string") {
    if (file === null) return null;
    throw new MountaineerError("usage", "--token-file is for --url");
  }
  if (configPath !== null)
    throw new MountaineerError("usage", "--config is for this machine, and --url for another one");
  const origin = readOrigin(url);
  const { requirePrivate } = await import("../../api/client/client.ts");
  requirePrivate(origin);
  return { origin, token: await readToken(file, signal) };
}

function readOrigin(text: string): URL {
  const expected = "https://HOST[:PORT] or http://127.0.0.1[:PORT], without a path";
  const reading = readAddress(text, expected);
  if (reading.ok && reading.url.pathname === "/" && reading.url.search === "") return reading.url;
  throw new MountaineerError("usage", `--url takes ${expected}`);
}

/** Rejects with `usage` if no valid token is given. */
async function readToken(file: string | null, signal: AbortSignal): Promise<string> {
  const { [TOKEN_VARIABLE]: variable } = process.env;
  // Keeps the token from child processes.
  delete process.env[TOKEN_VARIABLE];
  const given = file === null ? (variable ?? "") : await readTokenFile(file);
  const token = (given === "" && file === null ? await promptToken(signal) : given).trim();
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new MountaineerError("usage", "the management token is one word of letters, digits and signs", {
    hint: `give it in ${TOKEN_VARIABLE} or with --token-file`,
  });
}

async function readTokenFile(path: string): Promise<string> {
  const { readFile, stat } = await import("node:fs/promises");
  try {
    const { size, mode } = await stat(path);
    if (size > 8_192) throw new MountaineerError("usage", `${path} is not a token: it is too large`);
    if ((mode & 0o077) !== 0) {
      throw new MountaineerError("usage", `others on this machine can read ${path}`, {
        hint: shellCommand`chmod 600 ${path}`,
      });
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof MountaineerError) throw cause;
    throw new MountaineerError("usage", `the token cannot be read from ${path}`, { cause });
  }
}

async function promptToken(signal: AbortSignal): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new MountaineerError("usage", `--url needs the management token, in ${TOKEN_VARIABLE}`);
  }
  const { promptSecret } = await import("./secret-question.ts");
  return promptSecret("Management token (not shown): ", { stdin: process.stdin, signal });
}
