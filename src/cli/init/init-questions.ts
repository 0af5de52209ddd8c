// The questions of `init` at a terminal: found shares first, then further shares, then MCP servers.
import type { FoundShare } from "../../api/found-share.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { splitWords } from "../input/split-words.ts";
import { shareNameOf, type WantedBackend, type WantedShare } from "./init-text.ts";

export type Ask = (question: string) => Promise<string>;

export interface Wishes {
  readonly shares: readonly WantedShare[];
  readonly backends: readonly WantedBackend[];
  /** Secrets whose values are to be asked for, by name. */
  readonly secrets: readonly string[];
}

export async function askWishes(ask: Ask, found: readonly FoundShare[], userName: string): Promise<Wishes> {
  const shares: WantedShare[] = [];
  const secrets: string[] = [];
  const more = async (
    known: Pick<WantedShare, "name" | "shareName"> & { readonly host: string | null; readonly user: string },
  ): Promise<void> => {
    const tbHost = await thunderboltHost(ask, known.name);
    if (tbHost === null) return;
    const fallbackHost =
      known.host ??
      (await required(ask, "  Its address or name over the other network, such as nas.local: "));
    const typed = await ask(`  Your name on the server [${harmless(known.user)}]: `);
    const hasPassword = isYes(await ask("  Does it want a password? [Y/n] "), true);
    const secret = freeSecretName(known.name, (one) => secrets.includes(one));
    if (hasPassword) secrets.push(secret);
    shares.push({
      name: known.name,
      tbHost,
      fallbackHost,
      username: typed === "" ? (known.user === userName ? null : known.user) : typed,
      shareName: known.shareName,
      password: hasPassword ? `secret:${secret}` : null,
    });
  };
  for (const one of found) {
    const where = `//${harmless(one.host)}/${harmless(one.share)}, ${one.by === "fstab" ? "in /etc/fstab" : "mounted"} at ${harmless(one.path)}`;
    if (!isYes(await ask(`Keep ${where}? [Y/n] `), true)) continue;
    const name = shareNameOf(one);
    await more({
      name,
      shareName: name === one.share ? null : one.share,
      host: one.host,
      user: one.user ?? userName,
    });
  }
  for (;;) {
    const other =
      found.length + shares.length === 0 ? "A share to keep mounted: its name" : "A further share: its name";
    const name = await ask(`${other} on the server (empty: none): `);
    if (name === "") break;
    await more({ name, shareName: null, host: null, user: userName });
  }
  return { shares, backends: await askBackends(ask), secrets };
}

async function askBackends(ask: Ask): Promise<readonly WantedBackend[]> {
  const backends: WantedBackend[] = [];
  for (;;) {
    const name = await ask("An MCP server to serve: what to call it, such as files (empty: none): ");
    if (name === "") return backends;
    const how = await required(ask, "  Its command line, or its address (https://…): ");
    backends.push({ name, connection: connectionOf(how) });
  }
}

/** An address, or a command line whose words are parted as a shell parts them. Throws `usage`. */
export function connectionOf(text: string): WantedBackend["connection"] {
  if (/^https?:\/\//i.test(text)) return { url: text };
  const [command, ...args] = splitWords(text);
  if (command === undefined) throw new MountaineerError("usage", "a backend needs a command");
  return { command, args };
}

/** null: the share is to be left out, and somebody has said so. */
async function thunderboltHost(ask: Ask, share: string): Promise<string | null> {
  for (;;) {
    const host = await ask("  Its address over Thunderbolt, or the faster cable, such as 10.10.10.1: ");
    if (host !== "") return host;
    if (isYes(await ask(`  A share needs two addresses. Leave ${harmless(share)} out? [y/N] `), false))
      return null;
  }
}

async function required(ask: Ask, question: string): Promise<string> {
  for (let tries = 0; tries < 3; tries++) {
    const answer = await ask(question);
    if (answer !== "") return answer;
  }
  throw new MountaineerError("usage", "it cannot be left out", { hint: "nothing was written" });
}

function isYes(answer: string, otherwise: boolean): boolean {
  if (answer === "") return otherwise;
  return /^y/i.test(answer);
}
