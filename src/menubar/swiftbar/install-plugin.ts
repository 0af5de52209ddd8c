// The plugin file: a small script in SwiftBar's (or xbar's) folder that runs `mountaineer menubar --swiftbar`.
import { chmod, stat } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** The plugin's file name in SwiftBar. SwiftBar ignores the interval `1d`, because the plugin is streamable. */
export const PLUGIN_FILE = "mountaineer.1d.sh";

const DEFAULTS_DEADLINE_MS = 5_000;

interface InstallFolders {
  readonly userHome: string;
  readonly clock: Clock;
  /** The path of `defaults`, the program of macOS that reads settings: /usr/bin/defaults. */
  readonly defaultsProgram: string;
  /** The folder of the running Node; with nvm or asdf, the launcher may not find it in a menu's environment. */
  readonly nodeFolder: string;
}

/**
 * Writes the plugin into `folder`, or into the plugin folder of SwiftBar, else of xbar. A second run changes nothing.
 * Rejects with `program_unavailable` if neither is installed, with `path_taken` if there is another file of that name.
 */
export async function installPlugin(
  program: readonly string[],
  folder: string | null,
  folders: InstallFolders,
) {
  const target = folder ?? (await pluginFolder(folders));
  const path = join(target, PLUGIN_FILE);
  const text = pluginScript(program, folders.nodeFolder);
  const there = await readIfPresent(path);
  if (there === text) {
    await chmod(path, 0o755);
    return { path, changed: false };
  }
  if (there !== null && !there.includes(MARK)) {
    throw new MountaineerError("path_taken", `${path} is there and was not written by Mountaineer`, {
      hint: "move it away, and try again",
    });
  }
  await ensureFolder(target, 0o755);
  await writeDurably(path, text, { mode: 0o755 });
  await chmod(path, 0o755);
  return { path, changed: true };
}

const MARK = "Written by mountaineer menubar --install-swiftbar";

/**
 * SwiftBar and xbar pass on a minimal environment, so the script sets all that the program needs. A click also runs
 * this file.
 */
function pluginScript(program: readonly string[], nodeFolder: string): string {
  return [
    "#!/bin/sh",
    `# ${MARK}; running that again renews it.`,
    "# <swiftbar.title>Mountaineer</swiftbar.title>",
    "# <swiftbar.desc>Your NAS shares over the best route</swiftbar.desc>",
    "# <swiftbar.type>streamable</swiftbar.type>",
    "# <swiftbar.hideRunInTerminal>true</swiftbar.hideRunInTerminal>",
    "# <swiftbar.hideLastUpdated>true</swiftbar.hideLastUpdated>",
    "# <swiftbar.hideDisablePlugin>true</swiftbar.hideDisablePlugin>",
    `PATH=${shellWord(nodeFolder)}:$PATH`,
    "export PATH",
    `exec ${[...program, "menubar", "--swiftbar"].map(shellWord).join(" ")} "$0" "$@"`,
    "",
  ].join("\n");
}

async function pluginFolder(folders: InstallFolders): Promise<string> {
  const chosen =
    (await setting("com.ameba.SwiftBar", "PluginDirectory", folders)) ??
    (await existingFolder(join(folders.userHome, "Library/Application Support/xbar/plugins")));
  if (chosen !== null) return expanded(chosen, folders.userHome);
  throw new MountaineerError("program_unavailable", "neither SwiftBar nor xbar has a plugin folder here", {
    hint: "brew install swiftbar, start it once and choose a folder; or name one: --plugin-folder DIR",
  });
}

/** Reads a setting. null: it is not set, or there is no program `defaults`. */
async function setting(
  domain: string,
  key: string,
  { defaultsProgram, clock }: InstallFolders,
): Promise<string | null> {
  const options = { clock, deadlineMs: DEFAULTS_DEADLINE_MS };
  const reading = runCommand(defaultsProgram, ["read", domain, key], options);
  const result = await reading.catch(recoverFrom("program_unavailable", null));
  const value = result?.stdout.trimEnd() ?? "";
  return result?.exitCode === 0 && value !== "" ? value : null;
}

async function existingFolder(path: string): Promise<string | null> {
  const found = await stat(path).catch(recoverFrom(isSystemError, null));
  return found?.isDirectory() ? path : null;
}

function expanded(path: string, userHome: string): string {
  if (path === "~") return userHome;
  return path.startsWith("~/") ? join(userHome, path.slice(2)) : path;
}
