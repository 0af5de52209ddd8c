// Runs the daemon as a unit of systemd's user manager.
import { isAbsolute, join } from "node:path";
import type { CommandResult } from "../../runtime/process/child-process.ts";
import { callUserManager } from "../../runtime/process/user-manager.ts";
import { supervisorPath } from "../input/launcher-path.ts";
import type { ServiceDefinition } from "./service-definition.ts";
import {
  goneUnasked,
  lastLineOf,
  removeServiceFile,
  type ServiceManager,
  type ServiceManagerOptions,
  type ServiceOutcome,
  whyAbsent,
  writeServiceFile,
} from "./service-outcome.ts";

/**
 * Deadline of a call, ms: a start returns when the program runs; a stop rarely takes more than the daemon's 5
 * s.
 */
const DEADLINE_MS = 30_000;

export function createSystemd({ definition, clock, environment }: ServiceManagerOptions): ServiceManager {
  const unit = `${definition.name}.service`;
  // The XDG specification says that relative paths are ignored.
  const named = environment["XDG_CONFIG_HOME"] ?? "";
  const configHome = isAbsolute(named) ? named : join(definition.userHome, ".config");
  const filePath = join(configHome, "systemd", "user", unit);
  const text = unitText(definition);
  const systemctl = (args: readonly string[], signal: AbortSignal): Promise<CommandResult> =>
    callUserManager(args, environment, { clock, deadlineMs: DEADLINE_MS, signal });

  /** Why no user manager answers; null if one does. */
  const missing = async (signal: AbortSignal): Promise<string | null> => {
    const probe = systemctl(["show", "--property=Version"], signal);
    const why = await whyAbsent(probe, (result) => lastLineOf("systemctl", result));
    return why === null ? null : `no user manager of systemd answers here (${why})`;
  };

  const isActive = async (signal: AbortSignal): Promise<boolean> =>
    (await systemctl(["is-active", "--quiet", unit], signal)).exitCode === 0;

  /**
   * True while systemd keeps the unit running, also between a crash and the restart, when `is-active` is
   * false.
   */
  const isLingering = async (signal: AbortSignal): Promise<boolean> => {
    const { stdout } = await systemctl(["show", "--property=ActiveState", "--value", unit], signal);
    return !["inactive", "failed"].includes(stdout.trim());
  };

  /** Resolves with the first failure; null if all succeed. */
  const inTurn = async (
    commands: readonly (readonly string[])[],
    signal: AbortSignal,
  ): Promise<string | null> => {
    for (const args of commands) {
      const result = await systemctl(args, signal);
      if (result.exitCode !== 0)
        return `systemctl --user ${args.join(" ")}: ${lastLineOf("systemctl", result)}`;
    }
    return null;
  };

  return {
    kind: "systemd",
    filePath,
    text,
    missing,
    async start(signal): Promise<ServiceOutcome> {
      const changed = await writeServiceFile(filePath, text);
      const wasActive = await isActive(signal);
      const start =
        changed && wasActive
          ? [
              ["enable", unit],
              ["restart", unit],
            ]
          : [["enable", "--now", unit]];
      const failure = await inTurn([["daemon-reload"], ...start], signal);
      const notes = [
        "it runs while you are logged in; to run it from boot on: loginctl enable-linger",
        `what it says: journalctl --user -u ${unit}`,
      ];
      return { changed, running: failure === null && (await isActive(signal)), notes, failure };
    },
    async stop(signal): Promise<ServiceOutcome> {
      const changed = (await missing(signal)) === null && (await isLingering(signal));
      const failure = changed ? await inTurn([["stop", unit]], signal) : null;
      return { changed, running: failure !== null, notes: [], failure };
    },
    async uninstall(signal): Promise<ServiceOutcome> {
      const why = await missing(signal);
      // Stops the unit first: without its file, systemd no longer knows the unit.
      const known = why === null && (await systemctl(["cat", unit], signal)).exitCode === 0;
      const failure = known ? await inTurn([["disable", "--now", unit]], signal) : null;
      const running = failure !== null && (await isLingering(signal));
      if (running) return { changed: false, running, notes: [], failure };
      const changed = await removeServiceFile(filePath);
      if (why === null && changed) await systemctl(["daemon-reload"], signal);
      const notes = goneUnasked(changed, why);
      return { changed, running, notes, failure };
    },
  };
}

/**
 * The unit's main process is a shell that stays while daemons hand over. `KillMode=process` keeps mounts and
 * their helper processes over a restart. No sandbox: `fusermount3` needs its set-user-id bit. systemd
 * restarts the daemon after every failure, except for exit codes of errors that only a person can correct. Without
 * its program (a package that was removed before `mountaineer uninstall`) it is not started, again and again.
 */
export function unitText({ program, args, environment, home }: ServiceDefinition): string {
  const variables = Object.entries(environment).map(
    ([name, value]) => `Environment=${quoted(`${name}=${value}`)}`,
  );
  return `# Written by \`mountaineer up\`; \`mountaineer uninstall\` removes it.
[Unit]
Description=Mountaineer (${home.replaceAll("%", "%%").replace(/[\p{Cc}\\]/gu, "?")})
StartLimitIntervalSec=0
ConditionPathExists=${program.replaceAll("%", "%%")}

[Service]
Type=exec
ExecStart=${commandLine("/bin/sh", [supervisorPath(program), program, ...args])}
ExecReload=${commandLine(program, ["restart"])}
${variables.join("\n")}
WorkingDirectory=/
KillMode=process
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 5
TimeoutStopSec=20

[Install]
WantedBy=default.target
`;
}

function commandLine(program: string, args: readonly string[]): string {
  const asArguments = (plain: readonly string[]): string[] =>
    plain.map((arg) => quoted(arg.replaceAll("$", "$$$$")));
  // systemd runs no program whose path has these characters, but sh can run such a program.
  const line = /["'\\\p{Cc}]/u.test(program)
    ? ["/bin/sh", ...asArguments([program, ...args])]
    : [quoted(program), ...asArguments(args)];
  return line.join(" ");
}

/** The text in double quotes, with systemd's specifiers escaped. */
function quoted(text: string): string {
  const escaped = text
    .replaceAll("%", "%%")
    .replace(/["\\]/g, "\\$&")
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `"${escaped}"`;
}
