// The demo's stage: a server with two cables, a home, and functions that read their state and act on them. Everything
// is in one temporary folder, which is cleared when the stage is disposed or the demo ends in any other way.
import { lstat, mkdir, mkdtemp, open, realpath, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import type { ShareStatus } from "../../api/contract/contract.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import {
  childEnvironment,
  type ExitInfo,
  runCommand,
  startDetached,
} from "../../runtime/process/child-process.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { settlesWithin, systemClock } from "../../runtime/time/clock.ts";
import { openFile } from "./file-holder.ts";
import { type DemoDriver, type Nas, openNas } from "./nas.ts";
import type { ProgramOptions } from "./program.ts";
import { readShareFile } from "./share-reader.ts";
import {
  OPEN_FILE,
  SHARE,
  SIGN_FILE,
  type StageLayout,
  serverTemporaryFolder,
  stageLayout,
  temporaryFolder,
} from "./stage-layout.ts";
import { clearRemains, describeRemains, findRemains, mountTable } from "./stage-remains.ts";
import { startWarden } from "./warden-link.ts";
import { readAtFullSpeed, startCopy, startWork, type WorkMaterial } from "./work-at-share.ts";

export interface StageOptions {
  /** The argv that runs Mountaineer. */
  readonly program: readonly string[];
  /** The wanted driver; null: real SMB if available, else folders. */
  readonly driver: DemoDriver | null;
  readonly onRouteChange: "move" | "remount";
  readonly signal: AbortSignal;
}

export type Stage = Awaited<ReturnType<typeof openStage>>;

const COMMAND_WITHIN_MS = 30_000;
const WRITE_WITHIN_MS = 10_000;

/** Opens the stage. Rejects with `driver_unavailable` when real SMB is asked for and not available. */
export async function openStage({ program, driver, onRouteChange, signal }: StageOptions) {
  // Short, because the daemon's socket is in this folder and the length of a socket's path is limited.
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-demo-")));
  const layout = stageLayout(folder);
  const warden = startWarden({ folder, home: layout.home });
  const started: ProcessIdentity[] = [];
  const marks = { folder, home: layout.home, started };
  const onStart = (identity: ProcessIdentity): void => {
    started.push(identity);
    warden.started(identity);
  };
  let nas: Nas | null = null;
  const clear = async (): Promise<void> => {
    try {
      await nas?.[Symbol.asyncDispose]();
    } finally {
      await clearRemains(marks);
    }
    // Only reached after a success: after a failure, the warden clears what remains.
    await warden.dismiss();
  };
  let clearing: Promise<void> | null = null;
  try {
    await mkdir(temporaryFolder(folder));
    await mkdir(serverTemporaryFolder(folder));
    const environment = { TMPDIR: temporaryFolder(folder) };
    const opened = await openNas(folder, driver, environment, signal);
    nas = opened.nas;
    await furnish(layout, nas, onRouteChange);
    // A spread of the actions would copy the present value of their getter `monitor` instead of the getter.
    return Object.assign(createActions({ layout, nas, program, environment, signal, onStart }), {
      layout,
      ...opened,
      /** Processes and mounts of the demo, except its server's: one line each. */
      async remains(): Promise<string[]> {
        const { processes, mounts } = await findRemains(marks);
        return describeRemains({ processes: processes.filter(({ ofServer }) => !ofServer), mounts });
      },
      [Symbol.asyncDispose]() {
        clearing ??= clear();
        return clearing;
      },
    });
  } catch (error) {
    await clear();
    throw error;
  }
}

async function furnish(
  layout: StageLayout,
  nas: Nas,
  onRouteChange: StageOptions["onRouteChange"],
): Promise<void> {
  await writeFile(join(nas.serverFolder, SIGN_FILE), signText(0));
  await writeFile(join(nas.serverFolder, OPEN_FILE), "A report that a person is reading.\n");
  await mkdir(layout.home, { mode: 0o700 });
  await writeFile(layout.configFile, configText(layout, nas, onRouteChange), { mode: 0o600 });
}

function configText(layout: StageLayout, nas: Nas, onRouteChange: StageOptions["onRouteChange"]): string {
  return [
    "# The demo's own configuration: quicker than anybody needs, so that there is something to see.",
    "[global]",
    `shares_root = ${JSON.stringify(layout.sharesRoot)}`,
    `mount_root = ${JSON.stringify(join(layout.mountPath, ".."))}`,
    "check_interval_secs = 0.5",
    `on_route_change = "${onRouteChange}"`,
    "connect_timeout_ms = 3000",
    "auto_failback = true",
    "auto_failback_stable_secs = 2",
    "",
    "[[shares]]",
    `name = "${SHARE}"`,
    ...nas.shareConfig,
    "",
  ].join("\n");
}

/**
 * The text of the sign file. All texts have the same length, so that a reader never sees a half-overwritten
 * file.
 */
function signText(number: number): string {
  return `hello from the NAS, no. ${String(number).padStart(4, "0").slice(-4)}\n`;
}

interface ActionParts extends Pick<StageOptions, "program" | "signal">, Pick<ProgramOptions, "onStart"> {
  readonly layout: StageLayout;
  readonly nas: Nas;
  /** Added to the environment of each process; identifies the process as the demo's. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How the demo reads the state of the share and the daemon, and acts on them. */
function createActions({ layout, nas, program, environment, signal, onStart }: ActionParts) {
  const { stablePath } = layout;
  const ownEnvironment = {
    ...environment,
    ...nas.environment,
    MOUNTAINEER_HOME: layout.home,
    NO_COLOR: "1",
  };
  const programOptions = { environment: childEnvironment(environment), onStart };
  const atShare = {
    serverFolder: nas.serverFolder,
    shareFolder: stablePath,
    workFolder: temporaryFolder(layout.folder),
    ...programOptions,
  };
  let monitor: Awaited<ReturnType<typeof startMonitor>> | null = null;
  let signs = 0;
  const daemon = (): Promise<DaemonClient | null> => connectToDaemon(layout.home);

  return {
    /** The daemon that was started last; null: it was ended, or none was started. */
    get monitor() {
      return monitor;
    },
    async startMonitor(): Promise<void> {
      monitor = await startMonitor(program, layout.daemonOutput, { environment: ownEnvironment, onStart });
    },
    /** Ends the daemon by SIGKILL, or by SIGTERM, which makes it unmount. Resolves with its exit. */
    async endMonitor(how: "kill" | "stop"): Promise<ExitInfo | null> {
      const ending = monitor;
      monitor = null;
      return ending === null ? null : ending.end(how === "kill" ? "SIGKILL" : "SIGTERM");
    },
    /** The share's status; null when no daemon answers: it was ended, or has just been started. */
    async share(): Promise<ShareStatus | null> {
      const unreachable = recoverFrom("daemon_unreachable", null);
      const client = await daemon().catch(unreachable);
      return (await client?.call("status", null, signal).catch(unreachable))?.shares[0] ?? null;
    },
    mountaineer(args: readonly string[]) {
      const [command = process.execPath, ...rest] = program;
      const options = { deadlineMs: COMMAND_WITHIN_MS, env: ownEnvironment, signal };
      return runCommand(command, [...rest, ...args], options);
    },
    /** Writes a new text into the sign file on the server's own disk, and resolves with the text. */
    async sign(): Promise<string> {
      const text = signText(++signs);
      await using file = await open(join(nas.serverFolder, SIGN_FILE), "r+");
      await file.write(text, 0);
      return text;
    },
    read: (deadlineMs: number) =>
      readShareFile(join(stablePath, SIGN_FILE), { environment, deadlineMs, signal }),
    /** Copies a new file to the stable path, in a child; resolves when the copy is closed. Rejects with `timed_out`. */
    async write(name: string, text: string): Promise<void> {
      const from = join(temporaryFolder(layout.folder), name);
      await writeFile(from, text);
      const limits = { deadlineMs: WRITE_WITHIN_MS, env: environment, signal };
      const { exitCode, stderr, timedOut } = await runCommand(
        "cp",
        ["--", from, join(stablePath, name)],
        limits,
      );
      if (exitCode === 0) return;
      throw new MountaineerError("timed_out", `cp failed: ${timedOut ? "no answer" : stderr.trim()}`);
    },
    openFile: () => openFile(join(stablePath, OPEN_FILE), programOptions),
    /** Programs that copy a large file on the share and append to another, until they are asked to finish. */
    startWork: (material: WorkMaterial) => startWork({ material, ...atShare }),
    startCopy: () => startCopy(atShare),
    readAtFullSpeed: (signal: AbortSignal) => readAtFullSpeed(stablePath, signal),
    /**
     * The id of the mount at the mount path, or of the symlink that stands for a mount; null: there is none.
     */
    async mountId(): Promise<string | null> {
      if (nas.driver === "smb") {
        return (await mountTable()).findLast(({ path }) => path === layout.mountPath)?.id ?? null;
      }
      const found = await lstat(layout.mountPath, { bigint: true }).catch(() => null);
      return found && `${found.ino}:${found.ctimeNs}`;
    },
  };
}

const ENDS_WITHIN_MS = 15_000;

/** The demo's daemon. Resolves when the process runs, which is before it serves. Its stderr is appended to `logPath`. */
async function startMonitor(
  [command = process.execPath, ...args]: readonly string[],
  logPath: string,
  { environment, onStart }: ProgramOptions,
) {
  const { pid, exited } = await startDetached(command, [...args, "monitor", "--unmount-on-exit"], {
    env: environment,
    logPath,
  });
  const identity = await processIdentity(pid);
  if (identity !== null) onStart(identity);
  let running = true;
  void exited.then(() => {
    running = false;
  });
  return {
    get running() {
      return running;
    },
    /** Resolves with the process's exit, at once if it has ended. Rejects with `timed_out` after 15 s. */
    async end(signal: "SIGTERM" | "SIGKILL"): Promise<ExitInfo> {
      if (running) process.kill(pid, signal);
      if (await settlesWithin(systemClock, ENDS_WITHIN_MS, exited)) return exited;
      throw new MountaineerError("timed_out", `the daemon (pid ${pid}) did not end on ${signal}`);
    },
  };
}
