// The commands that show things live: `tui`, `open` and `menubar`.

import { homedir, hostname, userInfo } from "node:os";
import { dirname, resolve } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { command, type Target, type Terminal } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { showResult } from "../input/options.ts";
import { callDaemon } from "../sessions/control-session.ts";

/** The TUI's screens, each with the key that opens it. */
const SCREENS: Readonly<Record<string, string>> = {
  home: "d",
  shares: "S",
  servers: "v",
  sync: "s",
  approve: "a",
  events: "e",
};

export const tuiCommand = command("tui", {
  takesUrl: true,
  summary: "live status, with keys for everyday actions",
  description:
    "? lists the keys, $ says which command does the same, q quits. Waits for a daemon that is down. With --url the token comes from MOUNTAINEER_MANAGEMENT_TOKEN, --token-file, or your answer. For a screen reader: mountaineer status --follow.",
  examples: {
    "mountaineer tui": "look, and act",
    "mountaineer tui --screen sync": "start with the settings of config sync",
    "NO_COLOR=1 mountaineer tui": "the same without colour",
  },
  exits: { 2: "this is not a terminal, or --url would send the token unencrypted" },
  isText: true,
  takes: {
    "--screen <name>": { about: "the first screen", choices: Object.keys(SCREENS) },
  },
  async run(context, { screen }) {
    const { home, configPath, remote: endpoint, stdoutStyle, signal } = context;
    const { TERM } = process.env;
    if (!process.stdin.isTTY || !process.stdout.isTTY || TERM === "dumb") {
      throw new MountaineerError("usage", "tui needs a terminal that it can draw on and read keys from", {
        hint: "mountaineer status --follow needs none, and prints each change in a line",
      });
    }
    const { startTui } = await import("../../tui/start-tui.ts");
    const first = SCREENS[screen ?? "dashboard"] ?? null;
    await startTui({
      home,
      configPath,
      endpoint,
      style: stdoutStyle,
      screen: first,
      signal,
    });
    return 0;
  },
});

export const openCommand = command("open", {
  summary: "open the page in the browser",
  description:
    "The link works once, within a minute, and signs the browser in for twelve hours. With --admin, type the code that it shows into the page: that tab may then change what runs, until it has changed nothing for 15 minutes.",
  examples: {
    "mountaineer open": "see the page",
    "mountaineer open --admin": "the same, and add or change servers there",
    "mountaineer open --print": "print the link, for a browser of your choice",
  },
  exits: { 8: "no daemon runs" },
  takes: {
    "--print": "print the link only",
    "--json": "print link and code as JSON; open no browser",
    "--admin": "let that tab change which programs run",
  },
  async run(context, { print, admin }) {
    const purpose = { intent: admin ? "change" : "look", so: "so there is no page" } as const;
    const isFromTerminal = [process.stdin, process.stdout].every(({ isTTY }) => isTTY);
    const link = await callDaemon(context, purpose, "openPage", { from_terminal: isFromTerminal });
    const url = admin ? `${link.url}.admin` : link.url;
    const code = admin ? (await callDaemon(context, purpose, "offerOwner", null)).code : null;
    const shownCode = code === null ? null : `${code.slice(0, 4)}-${code.slice(4)}`;
    showResult(context, { url, code: shownCode }, () => [url]);
    if (shownCode !== null && !context.json)
      context.notify(`type this code in the page within three minutes: ${shownCode}`);
    if (print || context.json) return 0;
    const { openInBrowser, remoteInstructions, withoutSecret } = await import("../sessions/web-browser.ts");
    try {
      if (await openInBrowser(await withoutSecret(url, context.home))) return 0;
      for (const line of remoteInstructions(url, process.env, userInfo().username, hostname()))
        context.notify(line);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      context.notify(`no browser could be opened here (${error.message}); open the link within a minute`);
    }
    return 0;
  },
});

export const menubarCommand = command("menubar", {
  summary: "show and switch the shares in the menu bar (macOS)",
  description:
    "Its menu mounts, unmounts and switches, shows pending approvals, and opens the page. SwiftBar or xbar draws it. Quitting it leaves daemon and shares running.",
  examples: {
    "mountaineer menubar --install-swiftbar": "put the menu into SwiftBar",
  },
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
    const { home, configPath, signal, notify, print } = context;
    const { env: environment, platform } = process;
    const opener = platform === "darwin" ? "/usr/bin/open" : "xdg-open";
    if (configPath !== null && swiftbar === null && act === null) {
      const { requireFileAt } = await import("../../config/home-context.ts");
      await requireFileAt(configPath);
    }
    if (installSwiftbar) return install(context, pluginFolder);
    const { runMenuAction, startMenubar } = await import("../../menubar/start-menubar.ts");
    const location = { home, configPath, program: ownProgram(), environment, opener };
    if (act !== null) {
      const { ok, text, hint } = await runMenuAction(location, act, signal);
      if (ok) print(`${text}\n`);
      else {
        notify(text);
        if (hint !== null) notify(hint);
        await notifySwiftBar(environment, opener, text);
      }
      return ok ? 0 : 1;
    }
    const isSwiftBar = environment["SWIFTBAR"] === "1";
    if (swiftbar === null && !isSwiftBar) {
      throw new MountaineerError("usage", "the menu is drawn by SwiftBar or xbar, on macOS", {
        hint:
          platform === "darwin"
            ? "mountaineer menubar --install-swiftbar puts it there"
            : "mountaineer open shows the page, and mountaineer tui the same in a terminal",
      });
    }
    const plugin = typeof swiftbar === "string" ? swiftbar : environment["SWIFTBAR_PLUGIN_PATH"];
    await startMenubar({
      ...location,
      output: process.stdout,
      command: plugin ? [resolve(plugin)] : [...environmentArgs(context), ...ownProgram(), "menubar"],
      isSwiftBar,
      logPath: await daemonLogPath(home, environment["HOME"] || homedir()),
      startsDaemon: start !== false,
      notify,
      signal,
    });
    return 0;
  },
});

async function install(context: Terminal & Target, folder: string | null): Promise<number> {
  const { installPlugin } = await import("../../menubar/swiftbar/install-plugin.ts");
  const { systemClock } = await import("../../runtime/time/clock.ts");
  const program = [...environmentArgs(context), launcherPath(), ...configArgs(context)];
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
function environmentArgs({ home }: Target): string[] {
  return process.env["MOUNTAINEER_HOME"] ? ["/usr/bin/env", `MOUNTAINEER_HOME=${home}`] : [];
}

function configArgs({ configPath }: Target): string[] {
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
  // A failed notification is not reported: nothing else could show the report.
  await runCommand(opener, ["-g", `swiftbar://notify?${query}`], { deadlineMs: 5_000 }).catch(() => {});
}

export const adminCommand = command("admin", {
  summary: "let one tab of the page change which programs run",
  description:
    "The right ends after 15 minutes without a change, after twelve hours, or when the tab is locked, reloaded or signed out, or the daemon restarts. Type only codes from a page that you opened.",
  examples: { "mountaineer admin K7QM-2RWX": "for the page that shows this code" },
  exits: { 8: "no daemon runs" },
  takes: {
    "<code>": "the code in the page",
  },
  async run(context, { code }) {
    const purpose = { intent: "change", so: "so there is no page" } as const;
    const report = await callDaemon(context, purpose, "grantOwner", { code });
    showResult(context, report, () => [
      "that tab may change which programs run, until it has changed nothing for 15 minutes",
    ]);
  },
});
