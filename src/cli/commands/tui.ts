// The commands that show things live: `tui`, `open` and `menubar`.

import { homedir, hostname, userInfo } from "node:os";
import { dirname, resolve } from "node:path";
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import { readAddress } from "../../config/values/address.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { type CommandContext, command } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { showResult } from "../input/options.ts";
import { askDaemon } from "../sessions/control-session.ts";

/**
 * The variable that holds the token for `--url`. No argument holds the token, because other users of the
 * machine can read arguments.
 */
const TOKEN_VARIABLE = "MOUNTAINEER_MANAGEMENT_TOKEN";

/** The TUI's screens, each with the key that opens it. */
const SCREENS: Readonly<Record<string, string>> = {
  home: "d",
  shares: "S",
  servers: "v",
  sync: "s",
  approve: "a",
  events: "e",
  audit: "E",
  logs: "l",
  tools: "c",
  config: "g",
  fleet: "F",
};

export const tuiCommand = command("tui", {
  summary: "watch and control everything, live",
  description:
    "A live view of the running daemon: shares, backends, approvals, events, logs, the catalog with a form for each tool, " +
    "the configuration and its sync, and the machines of the fleet, with keys to mount, switch, restart, approve and " +
    "reload. ? lists the keys, : finds anything by name, q quits. Waits for the daemon while it is down or restarts. " +
    `--url shows the daemon of another machine; its management token comes from ${TOKEN_VARIABLE}, from --token-file, ` +
    "or from your answer. --plain is for screen readers: lines of text, each change once.",
  examples: {
    "mountaineer tui": "look, and act",
    "mountaineer tui --screen sync": "start with the settings of config sync",
    "mountaineer tui --plain": "the same in lines of text",
    "NO_COLOR=1 mountaineer tui": "the same without colour",
  },
  exits: { 2: "this is not a terminal, or --url would send the token unencrypted" },
  isText: true,
  takes: {
    "--screen <name>": { about: "the first screen", choices: Object.keys(SCREENS) },
    "--plain": "lines of text for screen readers; nothing is redrawn",
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
    const endpoint = await readEndpoint(context, url, tokenFile);
    if (isPlain) {
      const { startPlain } = await import("../../tui/plain/plain-view.ts");
      await startPlain({ home, endpoint, print: context.print, input: process.stdin, signal });
      return 0;
    }
    const { startTui } = await import("../../tui/start-tui.ts");
    const first = SCREENS[screen ?? "dashboard"] ?? null;
    await startTui({
      home,
      configPath,
      endpoint,
      style: stdoutStyle,
      screen: first,
      yieldInterrupts,
      signal,
    });
    return 0;
  },
});

function parseUrl(text: string): URL | null {
  const reading = readAddress(text, "");
  return reading.ok && reading.url.pathname === "/" && reading.url.search === "" ? reading.url : null;
}

/** The address and token of another machine's daemon; null for the home's own daemon. Rejects with `usage`. */
async function readEndpoint(
  { signal }: CommandContext,
  origin: URL | null,
  file: string | null,
): Promise<HttpEndpoint | null> {
  if (origin === null) {
    if (file === null) return null;
    throw new MountaineerError("usage", "--token-file is for --url");
  }
  const { requirePrivate } = await import("../../api/client/client.ts");
  requirePrivate(origin);
  return { origin, token: await readToken(file, signal) };
}

/** Rejects with `usage` if no valid token is given. */
async function readToken(file: string | null, signal: AbortSignal): Promise<string> {
  const { [TOKEN_VARIABLE]: variable } = process.env;
  // Keeps the token from child processes.
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
        hint: shellCommand`chmod 600 ${path}`,
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

export const openCommand = command("open", {
  summary: "open the dashboard in the browser",
  description:
    "Asks the daemon for a link that works once, within a minute, and opens it in your browser, which is then " +
    "signed in for twelve hours. The link's code follows the #, so it appears in no request and no log; the " +
    "browser opens it from a file in the home, so no other user sees it. Without MCP servers the page is served " +
    "on this machine only, until the last session ends.",
  examples: {
    "mountaineer open": "see the dashboard",
    "mountaineer open --print": "print the link, for a browser of your choice",
  },
  exits: { 8: "no daemon runs" },
  isText: true,
  takes: {
    "--print": "print the link only",
  },
  async run(context, { print }) {
    const purpose = { intent: "look", so: "so there is no page" } as const;
    const { url } = await askDaemon(context, purpose, "openPage", null);
    context.print(`${url}\n`);
    if (print) return 0;
    const { openInBrowser, waysFromAfar, withoutSecret } = await import("../sessions/web-browser.ts");
    try {
      if (await openInBrowser(await withoutSecret(url, context.home))) return 0;
      for (const line of waysFromAfar(url, process.env, userInfo().username, hostname())) context.note(line);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      context.note(`no browser could be opened here (${error.message}); open the link within a minute`);
    }
    return 0;
  },
});

export const menubarCommand = command("menubar", {
  summary: "show and switch the shares in the panel or menu bar",
  description:
    "An icon that shows the status, with a menu that mounts, unmounts and switches shares and restarts backends. " +
    "On Linux it is a tray icon (StatusNotifierItem) of the desktop session; on macOS SwiftBar or xbar draws the " +
    "menu, and --install-swiftbar installs the plugin. Starts the daemon if none runs. One per home and session; " +
    "quitting it leaves daemon and shares running.",
  examples: {
    "mountaineer menubar": "show the icon",
    "mountaineer menubar --no-start": "the same, without starting the daemon",
    "mountaineer menubar --install-swiftbar": "put the menu into SwiftBar (macOS)",
  },
  exits: { 4: "this session already shows the menu of this home" },
  isText: true,
  takes: {
    "--no-start": "do not start the daemon",
    "--install-swiftbar": "write the plugin for SwiftBar or xbar, and exit",
    "--plugin-folder <dir>": {
      about: "the plugin folder, instead of the configured one",
      implies: { installSwiftbar: true },
    },
    "--swiftbar [plugin]": {
      about: "print the menu as a streamable plugin",
      conflicts: ["installSwiftbar"],
    },
    "--act <action>": "run the action of a menu line, and exit",
  },
  async run(context, { start, installSwiftbar, pluginFolder, swiftbar, act }) {
    const { home, configPath, signal, note, print } = context;
    const { env: environment, platform } = process;
    const opener = platform === "darwin" ? "/usr/bin/open" : "xdg-open";
    if (configPath !== null && swiftbar === null && act === null) {
      const { requireFileAt } = await import("../../config/locate.ts");
      await requireFileAt(configPath);
    }
    if (installSwiftbar) return install(context, pluginFolder);
    const { runMenuAction, startMenubar } = await import("../../menubar/start-menubar.ts");
    const programs = await import("../../menubar/desktop/desktop-programs.ts");
    const windows =
      platform === "darwin"
        ? { folderChoosers: programs.MACOS_FOLDER_CHOOSERS, askers: programs.MACOS_ASKERS }
        : { folderChoosers: programs.LINUX_FOLDER_CHOOSERS, askers: programs.LINUX_ASKERS };
    const place = { home, configPath, program: ownProgram(), environment, opener, ...windows };
    if (act !== null) {
      const { ok, text, hint } = await runMenuAction(place, act, signal);
      if (ok) print(`${text}\n`);
      else {
        note(text);
        if (hint !== null) note(hint);
        await notifySwiftBar(environment, opener, text);
      }
      return ok ? 0 : 1;
    }
    const isPlugin = swiftbar !== null || environment["SWIFTBAR"] === "1";
    if (!isPlugin && platform === "darwin") {
      throw new MountaineerError("usage", "on macOS the menu is drawn by SwiftBar or xbar", {
        hint: "mountaineer menubar --install-swiftbar puts it there",
      });
    }
    const plugin = typeof swiftbar === "string" ? swiftbar : environment["SWIFTBAR_PLUGIN_PATH"];
    const command = plugin ? [resolve(plugin)] : [...environmentWords(context), ...ownProgram(), "menubar"];
    await startMenubar({
      ...place,
      face: isPlugin
        ? {
            kind: "swiftbar",
            output: process.stdout,
            command,
            isSwiftBar: environment["SWIFTBAR"] === "1",
          }
        : { kind: "tray" },
      logPath: await daemonLogPath(home, environment["HOME"] || homedir()),
      startsDaemon: start !== false,
      note,
      signal,
    });
    return 0;
  },
});

async function install(context: CommandContext, folder: string | null): Promise<number> {
  const { installPlugin } = await import("../../menubar/swiftbar/install-plugin.ts");
  const { systemClock } = await import("../../runtime/time/clock.ts");
  const program = [...environmentWords(context), launcherPath(), ...configWords(context)];
  const { path, changed } = await installPlugin(program, folder === null ? null : resolve(folder), {
    userHome: process.env["HOME"] || homedir(),
    clock: systemClock,
    defaultsProgram: "/usr/bin/defaults",
    nodeFolder: dirname(process.execPath),
  });
  context.print(changed ? `written: ${path}\n` : `already there: ${path}\n`);
  return 0;
}

/**
 * The words before a command that SwiftBar runs, to set MOUNTAINEER_HOME there: SwiftBar does not have a
 * terminal's variables. Empty if the variable is not set.
 */
function environmentWords({ home }: CommandContext): string[] {
  return process.env["MOUNTAINEER_HOME"] ? ["/usr/bin/env", `MOUNTAINEER_HOME=${home}`] : [];
}

function configWords({ configPath }: CommandContext): string[] {
  return configPath === null ? [] : ["--config", configPath];
}

/** The program and arguments that run this version. The launcher may run another one. */
function ownProgram(): string[] {
  const { execPath, execArgv, argv } = process;
  return [execPath, ...execArgv, argv[1] ?? ""];
}

/** Shows the failure of a click as a notification: SwiftBar does not show stderr. */
async function notifySwiftBar(environment: NodeJS.ProcessEnv, opener: string, text: string): Promise<void> {
  if (environment["SWIFTBAR"] !== "1") return;
  const query = `plugin=mountaineer&title=Mountaineer&body=${encodeURIComponent(text)}`;
  const { runCommand } = await import("../../runtime/process/child-process.ts");
  const { systemClock } = await import("../../runtime/time/clock.ts");
  // A failed notification is not reported: nothing else could show the report.
  await runCommand(opener, ["-g", `swiftbar://notify?${query}`], {
    clock: systemClock,
    deadlineMs: 5_000,
  }).catch(() => {});
}

export const adminCommand = command("admin", {
  summary: "let one tab of the page change what runs, for 15 minutes",
  description:
    "Type the code that the page shows. Then that tab alone may change which programs run and where credentials " +
    "go, until 15 minutes have passed, the tab is reloaded or signs out, or the daemon restarts. Type only a " +
    "code that you see in a page you opened yourself.",
  examples: { "mountaineer admin K7QM-2RWX": "for the page that shows this code" },
  exits: { 8: "no daemon runs" },
  takes: {
    "<code>": "the code in the page",
  },
  async run(context, { code }) {
    const purpose = { intent: "change", so: "so there is no page" } as const;
    const report = await askDaemon(context, purpose, "grantOwner", { code });
    showResult(context, report, () => ["the page may change what runs for 15 minutes"]);
  },
});
