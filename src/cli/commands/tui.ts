// The command `mountaineer tui`. The live view's code is loaded when it runs.
import type { HttpDoor } from "../../api/client/http-exchange.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type CommandContext, command } from "../input/command.ts";

/** Where the token for `--url` is looked for; never an argument, which others on the machine can read. */
const TOKEN_VARIABLE = "MOUNTAINEER_MANAGEMENT_TOKEN";

/** Keys of the screens, by their names here. */
const SCREENS: Readonly<Record<string, string>> = {
  dashboard: "d",
  sync: "s",
  approve: "a",
  events: "e",
  audit: "E",
  logs: "l",
  catalog: "c",
  config: "g",
  fleet: "F",
};

export const tuiCommand = command({
  name: "tui",
  summary: "watch and control everything, live",
  description:
    "A live view of the running daemon: shares, backends, what waits for approval, events, logs, the catalog with a form for each tool, the " +
    "configuration and how it is kept in sync, and the machines of the fleet, with keys to mount, switch, restart, approve and reload. ? tells the keys, : finds " +
    "everything by its name, q leaves. Waits for the daemon when it is not running, and over its restarts. --url shows " +
    `the daemon of another machine; its management token comes from ${TOKEN_VARIABLE}, from --token-file, or is asked ` +
    "for. --plain is for screen readers: lines of text, each change said once.",
  examples: {
    "mountaineer tui": "look, and act",
    "mountaineer tui --screen sync": "begin with the settings of config sync",
    "mountaineer tui --plain": "the same in lines of text",
    "NO_COLOR=1 mountaineer tui": "the same without colour",
  },
  exits: { 2: "it is not run on a terminal, or --url would show the token to the network" },
  takes: {
    "--screen <name>": { about: "the screen that is shown first", choices: Object.keys(SCREENS) },
    "--plain": "lines of text for screen readers: nothing is drawn over",
    "--url <url>": {
      about: "the daemon of another machine: https://HOST[:PORT], or http:// on loopback",
      read: parseUrl,
      expected: "https://HOST[:PORT] or http://127.0.0.1[:PORT], without a path",
    },
    "--token-file <path>": "a file that holds the management token for --url",
  },
  async run(context, { screen, plain: isPlain, url, tokenFile }) {
    const { home, configPath, stdoutStyle, yieldInterrupts, signal } = context;
    const { TERM } = process.env;
    if (!isPlain && (!process.stdin.isTTY || !process.stdout.isTTY || TERM === "dumb")) {
      throw new MountaineerError("usage", "tui needs a terminal that it can draw on and read keys from", {
        hint: "mountaineer tui --plain needs none; mountaineer status and mountaineer config show print the same once",
      });
    }
    const door = await readDoor(context, url, tokenFile);
    if (isPlain) {
      const { startPlain } = await import("../../tui/plain/start-plain.ts");
      await startPlain({ home, door, print: context.print, input: process.stdin, signal });
      return 0;
    }
    const { startTui } = await import("../../tui/start-tui.ts");
    const first = SCREENS[screen ?? "dashboard"] ?? null;
    await startTui({ home, configPath, door, style: stdoutStyle, screen: first, yieldInterrupts, signal });
    return 0;
  },
});

function parseUrl(text: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isWhole = url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "";
  return isWhole && url.username === "" && url.password === "" ? url : null;
}

/** null: the home's own daemon. Rejects with `usage`. */
async function readDoor(
  { signal }: CommandContext,
  origin: URL | null,
  file: string | null,
): Promise<HttpDoor | null> {
  if (origin === null) {
    if (file === null) return null;
    throw new MountaineerError("usage", "--token-file is for --url");
  }
  const { requirePrivate } = await import("../../api/client/client.ts");
  requirePrivate(origin);
  return { origin, token: await readToken(file, signal) };
}

/** Rejects with `usage` where there is none, or what can be none. */
async function readToken(file: string | null, signal: AbortSignal): Promise<string> {
  const { [TOKEN_VARIABLE]: variable } = process.env;
  // Children, and what shows a process's environment, have no use for it.
  delete process.env[TOKEN_VARIABLE];
  const given = file === null ? (variable ?? "") : await readTokenFile(file);
  const token = (given === "" && file === null ? await askToken(signal) : given).trim();
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new MountaineerError("usage", "the management token is one word of letters, digits and signs", {
    hint: `give it in ${TOKEN_VARIABLE} or with --token-file`,
  });
}

async function readTokenFile(path: string): Promise<string> {
  const { readFile, stat } = await import("node:fs/promises");
  try {
    const { size, mode } = await stat(path);
    if (size > 8_192) throw new MountaineerError("usage", `${path} is no token: it is too large`);
    if ((mode & 0o077) !== 0) {
      throw new MountaineerError("usage", `others on this machine can read ${path}`, {
        hint: `chmod 600 ${path}`,
      });
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof MountaineerError) throw cause;
    throw new MountaineerError("usage", `the token cannot be read from ${path}`, { cause });
  }
}

async function askToken(signal: AbortSignal): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new MountaineerError("usage", `--url needs the management token, in ${TOKEN_VARIABLE}`);
  }
  const { askSecretly } = await import("../input/secret-question.ts");
  return askSecretly("Management token (not shown): ", { stdin: process.stdin, signal });
}
