// The command `mountaineer menubar`. The menu's code is loaded when it runs.
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { type CommandContext, command } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";

export const menubarCommand = command({
  name: "menubar",
  summary: "show the shares in the panel or menu bar, and switch them from there",
  description:
    "An icon that tells how things are, with a menu that mounts, unmounts and switches shares and restarts backends. " +
    "On Linux it is a tray icon (StatusNotifierItem) of the desktop session; on macOS the menu is drawn by SwiftBar " +
    "or xbar, into whose plugin folder --install-swiftbar puts it. Starts the daemon when none runs. One for each " +
    "home and session; quitting it leaves daemon and shares as they are.",
  examples: {
    "mountaineer menubar": "show the icon",
    "mountaineer menubar --no-start": "the same, without starting the daemon",
    "mountaineer menubar --install-swiftbar": "put the menu into SwiftBar (macOS)",
  },
  exits: { 4: "this session shows the menu of this home already" },
  takes: {
    "--no-start": "do not start the daemon when none runs",
    "--install-swiftbar": "write the plugin for SwiftBar or xbar, and end; again: changes nothing",
    "--plugin-folder <dir>": {
      about: "the plugin folder, instead of the one that is set",
      implies: { installSwiftbar: true },
    },
    "--swiftbar [plugin]": {
      about: "print the menu as a streamable plugin does",
      conflicts: ["installSwiftbar"],
    },
    "--act <action>": "do what a line of that menu says, and end",
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
    const programs = await import("../../menubar/desktop-programs.ts");
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
        await tellSwiftBar(environment, opener, text);
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
    // Loaded when it is run: it knows the daemon, of which the menu needs nothing else.
    const { daemonLogPath } = await import("../in-process/open.ts");
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

/** A menu's own environment has no home that was chosen in a terminal. */
function environmentWords({ home }: CommandContext): string[] {
  return process.env["MOUNTAINEER_HOME"] ? ["/usr/bin/env", `MOUNTAINEER_HOME=${home}`] : [];
}

function configWords({ configPath }: CommandContext): string[] {
  return configPath === null ? [] : ["--config", configPath];
}

/** What runs this very version: found anew, it may be another one. */
function ownProgram(): string[] {
  const { execPath, execArgv, argv } = process;
  return [execPath, ...execArgv, argv[1] ?? ""];
}

/** What failed after a click would be told to nobody otherwise. */
async function tellSwiftBar(environment: NodeJS.ProcessEnv, opener: string, text: string): Promise<void> {
  if (environment["SWIFTBAR"] !== "1") return;
  const query = `plugin=mountaineer&title=Mountaineer&body=${encodeURIComponent(text)}`;
  const { runCommand } = await import("../../runtime/process/child-process.ts");
  const { systemClock } = await import("../../runtime/time/clock.ts");
  // Nothing is left to try when that fails, too.
  await runCommand(opener, ["-g", `swiftbar://notify?${query}`], {
    clock: systemClock,
    deadlineMs: 5_000,
  }).catch(() => {});
}
