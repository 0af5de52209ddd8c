// Runs the daemon as a launchd agent in the user's desktop session.
import { basename, dirname, join } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { ensureFolder } from "../../runtime/files/durable-file.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import { launchdLabel } from "../../runtime/process/launchd-label.ts";
import { supervisorPath } from "../input/launcher-path.ts";
import { pollUntil } from "../sessions/poll-until.ts";
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

const DEADLINE_MS = 20_000;
/** How long to wait for the agent's end, ms: `bootout` returns before the agent has ended. */
const GONE_WITHIN_MS = 15_000;
const BETWEEN_POLLS_MS = 200;
const BOOTSTRAP_TRIES = 5;
const LOGIN_ITEMS = "System Settings → General → Login Items & Extensions";
const NOT_FOUND = 113;
const NOT_LOADED = 3;
/**
 * Exit codes with which a `bootstrap` fails only for a time, for example while an earlier `bootout` has not
 * ended.
 */
const PASSING: readonly (number | null)[] = [5, 37];

export function createLaunchd({ definition, clock }: ServiceManagerOptions, userId: number): ServiceManager {
  const label = launchdLabel(definition.name);
  const target = `gui/${userId}`;
  const filePath = join(definition.userHome, "Library", "LaunchAgents", `${label}.plist`);
  const logPath = join(definition.userHome, "Library", "Logs", `${definition.name}-launchd.log`);
  const text = agentText(definition, label, logPath);
  /** macOS shows a login item without a signature by its program's file name. */
  const shownAs = basename(supervisorPath(definition.program));

  const launchctl = (args: readonly string[], signal: AbortSignal): Promise<CommandResult> =>
    runCommand("launchctl", args, { clock, deadlineMs: DEADLINE_MS, signal });

  const isLoaded = async (signal: AbortSignal): Promise<boolean> =>
    (await launchctl(["print", `${target}/${label}`], signal)).exitCode === 0;

  /** Unloads the agent. Resolves with the failure; null if the agent is gone. */
  const unload = async (signal: AbortSignal): Promise<string | null> => {
    const result = await launchctl(["bootout", `${target}/${label}`], signal);
    if (result.exitCode !== 0 && ![NOT_LOADED, NOT_FOUND, 36].includes(result.exitCode ?? -1)) {
      return `launchctl bootout: ${lastLineOf("launchctl", result)}`;
    }
    const limits = { withinMs: GONE_WITHIN_MS, clock, signal };
    const isStillLoaded = await pollUntil(
      limits,
      () => isLoaded(signal),
      (found) => !found,
    );
    return isStillLoaded ? "launchctl bootout: it is still there" : null;
  };

  const load = async (signal: AbortSignal): Promise<string | null> => {
    for (let attempt = 1; ; attempt++) {
      const result = await launchctl(["bootstrap", target, filePath], signal);
      if (result.exitCode === 0) return null;
      if (attempt === BOOTSTRAP_TRIES || !PASSING.includes(result.exitCode)) {
        return `launchctl bootstrap: ${lastLineOf("launchctl", result)}; if ${shownAs} is switched off in ${LOGIN_ITEMS}, switch it on and run mountaineer up again`;
      }
      await clock.sleep(BETWEEN_POLLS_MS * attempt, signal);
    }
  };

  const missing = (signal: AbortSignal): Promise<string | null> =>
    whyAbsent(launchctl(["print", target], signal), () => `there is no desktop session of user ${userId}`);

  return {
    kind: "launchd",
    filePath,
    text,
    missing,
    async start(signal): Promise<ServiceOutcome> {
      // launchd does not make the folder of the log, and starts no agent without it.
      await ensureFolder(dirname(logPath), 0o755);
      const changed = await writeServiceFile(filePath, text);
      const wasLoaded = await isLoaded(signal);
      let failure = wasLoaded && changed ? await unload(signal) : null;
      if (failure === null && (changed || !wasLoaded)) failure = await load(signal);
      const notes = [
        `macOS may ask you to allow it: ${LOGIN_ITEMS} lists it as ${shownAs}`,
        `its output before its own log begins: ${logPath}`,
      ];
      return { changed, running: failure === null && (await isLoaded(signal)), notes, failure };
    },
    async stop(signal): Promise<ServiceOutcome> {
      const changed = (await missing(signal)) === null && (await isLoaded(signal));
      const failure = changed ? await unload(signal) : null;
      return { changed, running: failure !== null, notes: [], failure };
    },
    async uninstall(signal): Promise<ServiceOutcome> {
      const why = await missing(signal);
      const failure = why === null ? await unload(signal) : null;
      if (failure !== null) return { changed: false, running: true, notes: [], failure };
      const changed = await removeServiceFile(filePath);
      const notes = goneUnasked(changed, why);
      return { changed, running: false, notes, failure: null };
    },
  };
}

/**
 * `AbandonProcessGroup` keeps mounts and their helper processes over a restart. `Program` is the script itself: macOS would
 * show a shell that runs it as "sh".
 */
export function agentText(
  { program, args, environment }: ServiceDefinition,
  label: string,
  logPath: string,
): string {
  const supervisor = supervisorPath(program);
  // The first argument is the program's name.
  const list = [supervisor, program, ...args].map((arg) => `    <string>${escaped(arg)}</string>`);
  const variables = Object.entries(environment).map(
    ([name, value]) => `    <key>${escaped(name)}</key>\n    <string>${escaped(value)}</string>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by mountaineer up; mountaineer uninstall removes it. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${escaped(label)}</string>
  <key>Program</key>
  <string>${escaped(supervisor)}</string>
  <key>ProgramArguments</key>
  <array>
${list.join("\n")}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables.join("\n")}
  </dict>
  <key>WorkingDirectory</key>
  <string>/</string>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>AbandonProcessGroup</key>
  <true/>
  <key>ExitTimeOut</key>
  <integer>20</integer>
  <key>LimitLoadToSessionType</key>
  <string>Aqua</string>
  <key>StandardOutPath</key>
  <string>${escaped(logPath)}</string>
  <key>StandardErrorPath</key>
  <string>${escaped(logPath)}</string>
</dict>
</plist>
`;
}

/** Throws `usage` for control characters, which XML cannot hold. */
function escaped(text: string): string {
  if (/(?![\t\n\r])\p{Cc}/u.test(text)) {
    throw new MountaineerError("usage", "a path with control characters cannot be a service's");
  }
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
