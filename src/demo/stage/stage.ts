// The demo's stage: a server with two cables, a home, and the ways to look at them and act on them. It is in one
// temporary folder, and cleared when it is disposed or when the demo ends in any other way.
import { lstat, mkdir, mkdtemp, open, realpath, rename, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import type { RouteName, ShareStatus } from "../../api/contract.ts";
import { expecting, MountaineerError } from "../../runtime/errors.ts";
import {
  type CommandResult,
  childEnvironment,
  type ExitInfo,
  runCommand,
  startDetached,
} from "../../runtime/process/child-process.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";
import { type Agent, startAgent } from "./agent.ts";
import { type FileHolder, holdFile } from "./file-holder.ts";
import { type PlainRig, startPlainRig } from "./plain-rig.ts";
import { type Reading, readShareFile } from "./share-reader.ts";
import { lackingForSmb } from "./smb-available.ts";
import {
  HELD_FILE,
  PASSWORD_VARIABLE,
  SHARE,
  SIGN_FILE,
  type StageLayout,
  serverTemporaryFolder,
  stageLayout,
  temporaryFolder,
} from "./stage-layout.ts";
import { clearRemains, describeRemains, findRemains, mountTable, type StageMarks } from "./stage-remains.ts";
import { startWarden } from "./warden-link.ts";
import {
  type CopyAtShare,
  startCopy,
  startWork,
  type WorkAtShare,
  type WorkMaterial,
} from "./work-at-share.ts";

export interface StageOptions {
  /** The argv that runs Mountaineer. */
  readonly program: readonly string[];
  /** The script under which a daemon can hand over. */
  readonly keeper: string;
  /** null: real SMB where it can be had. */
  readonly driver: DemoDriver | null;
  /** How the share's configuration begins. */
  readonly carry: "auto" | "off";
  readonly signal: AbortSignal;
}

export interface Stage extends AsyncDisposable {
  readonly layout: StageLayout;
  readonly nas: Nas;
  /** Why it is not real SMB; null when it is, or when nobody asked for it. */
  readonly insteadBecause: string | null;
  /** The daemon that should run; null: none should. */
  readonly monitor: MonitorProcess | null;
  /**
   * `kept`: under a service manager's script, so that it can hand over to another; such a daemon is ended by "stop".
   */
  startMonitor(how?: { readonly kept: boolean }): Promise<void>;
  /** By SIGKILL, or by SIGTERM, after which it unmounts. Resolves with how it ended. */
  endMonitor(how: "kill" | "stop"): Promise<ExitInfo | null>;
  /** null: no daemon serves. */
  daemon(): Promise<DaemonClient | null>;
  /** What the daemon says of the share; null when none answers. */
  share(): Promise<ShareStatus | null>;
  /** Runs `mountaineer ARGS` in the demo's home. */
  mountaineer(args: readonly string[]): Promise<CommandResult>;
  /** Writes something new on the server's own disk, and resolves with what the sign file says now. */
  sign(): Promise<string>;
  /** The sign file's content at the stable path. */
  read(deadlineMs: number): Promise<Reading>;
  /** Copies a file to the stable path, in a child; resolves when the copy is closed. Rejects when it fails. */
  write(name: string, text: string): Promise<void>;
  holdFile(): Promise<FileHolder>;
  /** Programs that copy a large file on the share and append to another, until they are asked to finish. */
  startWork(material: WorkMaterial): Promise<WorkAtShare>;
  /** A program that copies a large file off the share. */
  startCopy(): Promise<CopyAtShare>;
  /** The command line of a tool, of that name, which reads files of the share. */
  fileTool(name: string): readonly string[];
  /** An agent that reads the sign file by that tool twice a second. It is ended with the stage, if not before. */
  startAgent(tool: string): Promise<Agent>;
  /** Identifies the mount at the mount path; null when nothing is mounted. */
  mountId(): Promise<string | null>;
  /** What is there of the demo, but for its server: one line each. */
  remains(): Promise<string[]>;
}

const COMMAND_WITHIN_MS = 30_000;
const WRITE_WITHIN_MS = 10_000;

/** Rejects with `driver_unavailable` when real SMB was asked for and cannot be had. */
export async function openStage({ program, keeper, driver, carry, signal }: StageOptions): Promise<Stage> {
  // Short: the daemon's socket is in it, and a socket's path may not be long.
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-demo-")));
  const layout = stageLayout(folder);
  const warden = startWarden({ folder, home: layout.home });
  const started: ProcessIdentity[] = [];
  const onStart = (identity: ProcessIdentity): void => {
    started.push(identity);
    warden.started(identity);
  };
  const marks: StageMarks = { folder, home: layout.home, started };
  const environment = { TMPDIR: temporaryFolder(folder) };
  let nas: Nas | null = null;
  const clear = async (): Promise<void> => {
    try {
      await nas?.[Symbol.asyncDispose]();
    } finally {
      await clearRemains(marks);
    }
    await warden.dismiss();
  };
  try {
    await mkdir(temporaryFolder(folder));
    await mkdir(serverTemporaryFolder(folder));
    const opened = await openNas(folder, driver, environment, signal);
    nas = opened.nas;
    await furnish(layout, nas, carry);
    return createStage({ layout, program, keeper, marks, environment, signal, onStart, clear, ...opened });
  } catch (error) {
    await clear();
    throw error;
  }
}

interface OpenedNas {
  readonly nas: Nas;
  readonly insteadBecause: string | null;
}

async function openNas(
  folder: string,
  driver: DemoDriver | null,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<OpenedNas> {
  if (driver === "local") return { nas: await startLocalNas(folder), insteadBecause: null };
  let lacking = await lackingForSmb(folder, environment, signal);
  if (lacking === null) {
    try {
      const serverEnvironment = { TMPDIR: serverTemporaryFolder(folder) };
      return { nas: await startSmbNas(folder, serverEnvironment), insteadBecause: null };
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      lacking = error.message;
    }
  }
  if (driver === "smb") {
    throw new MountaineerError("driver_unavailable", `real SMB cannot be had here: ${lacking}`, {
      hint: "mountaineer demo --driver local plays with plain folders",
    });
  }
  return { nas: await startLocalNas(folder), insteadBecause: lacking };
}

async function furnish(layout: StageLayout, nas: Nas, carry: StageOptions["carry"]): Promise<void> {
  await writeFile(join(nas.serverFolder, SIGN_FILE), signText(0));
  await writeFile(join(nas.serverFolder, HELD_FILE), "A report that somebody is reading.\n");
  await mkdir(layout.home, { mode: 0o700 });
  await writeFile(layout.configFile, configText(layout, nas, carry), { mode: 0o600 });
}

function configText(layout: StageLayout, nas: Nas, carry: StageOptions["carry"]): string {
  return [
    "# The demo's own configuration: quicker than anybody needs, so that there is something to see.",
    "[global]",
    `shares_root = ${JSON.stringify(layout.sharesRoot)}`,
    `mount_root = ${JSON.stringify(join(layout.mountPath, ".."))}`,
    "check_interval_secs = 0.5",
    `carry = "${carry}"`,
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

/** Always of the same length, so that it can be overwritten in place and is never seen half. */
function signText(number: number): string {
  return `hello from the NAS, no. ${String(number).padStart(4, "0").slice(-4)}\n`;
}

interface StageParts extends OpenedNas, Pick<StageOptions, "program" | "keeper" | "signal"> {
  readonly layout: StageLayout;
  readonly marks: StageMarks;
  readonly environment: Readonly<Record<string, string>>;
  readonly onStart: (identity: ProcessIdentity) => void;
  readonly clear: () => Promise<void>;
}

function createStage(parts: StageParts): Stage {
  const { layout, nas, insteadBecause, program, keeper, marks, environment, signal, onStart, clear } = parts;
  const forMountaineer = {
    ...environment,
    ...nas.environment,
    MOUNTAINEER_HOME: layout.home,
    NO_COLOR: "1",
  };
  const atShare = {
    serverFolder: nas.serverFolder,
    shareFolder: layout.stablePath,
    workFolder: temporaryFolder(layout.folder),
    environment: childEnvironment(environment),
    onStart,
  };
  let monitor: MonitorProcess | null = null;
  let signs = 0;
  let clearing: Promise<void> | null = null;

  const stage: Stage = {
    layout,
    nas,
    insteadBecause,
    get monitor() {
      return monitor;
    },
    async startMonitor({ kept } = { kept: false }) {
      monitor = await startMonitor({
        program,
        keeper: kept ? keeper : null,
        environment: forMountaineer,
        outputFile: layout.daemonOutput,
        onStart,
      });
    },
    async endMonitor(how) {
      const ending = monitor;
      monitor = null;
      return ending === null ? null : ending.end(how === "kill" ? "SIGKILL" : "SIGTERM");
    },
    daemon: () => connectToDaemon(layout.home),
    async share() {
      const daemon = await stage.daemon().catch(expecting("daemon_unreachable", null));
      // The daemon was ended, or has just been started.
      const report = await daemon?.ask("status", null, signal).catch(expecting("daemon_unreachable", null));
      return report?.shares[0] ?? null;
    },
    mountaineer(args) {
      const [command = process.execPath, ...rest] = program;
      return runCommand(command, [...rest, ...args], {
        clock: systemClock,
        deadlineMs: COMMAND_WITHIN_MS,
        env: forMountaineer,
        signal,
      });
    },
    async sign() {
      const text = signText(++signs);
      await overwriteSign(join(nas.serverFolder, SIGN_FILE), text);
      return text;
    },
    read: (deadlineMs) =>
      readShareFile(join(layout.stablePath, SIGN_FILE), { environment, deadlineMs, signal }),
    write: (name, text) => copyToShare(name, text, parts),
    holdFile: () =>
      holdFile(join(layout.stablePath, HELD_FILE), {
        environment: childEnvironment(environment),
        onStart,
      }),
    startWork: (material) => startWork({ material, ...atShare }),
    startCopy: () => startCopy(atShare),
    fileTool(name) {
      const program = fileURLToPath(programBeside(import.meta.url, "file-tool"));
      return [process.execPath, program, name, layout.stablePath];
    },
    startAgent: (tool) =>
      startAgent({
        program,
        environment: childEnvironment(forMountaineer),
        tool,
        file: SIGN_FILE,
        onStart,
      }),
    mountId: () => mountIdOf(nas, layout),
    async remains() {
      const { processes, mounts } = await findRemains(marks);
      const others = processes.filter(({ ofServer }) => !ofServer);
      return describeRemains({ processes: others, mounts });
    },
    [Symbol.asyncDispose]() {
      clearing ??= clear();
      return clearing;
    },
  };
  return stage;
}

async function copyToShare(
  name: string,
  text: string,
  { layout, environment, signal }: StageParts,
): Promise<void> {
  const from = join(temporaryFolder(layout.folder), name);
  const to = join(layout.stablePath, name);
  await writeFile(from, text);
  const limits = { clock: systemClock, deadlineMs: WRITE_WITHIN_MS, env: environment, signal };
  const { exitCode, stderr, timedOut } = await runCommand("cp", ["--", from, to], limits);
  if (exitCode === 0) return;
  throw new MountaineerError("timed_out", `cp failed: ${timedOut ? "no answer" : stderr.trim()}`);
}

/** The identity of what is mounted, or of the folder that stands for it; null: there is nothing. */
async function mountIdOf(nas: Nas, { mountPath }: StageLayout): Promise<string | null> {
  if (nas.driver === "smb") {
    return (await mountTable()).findLast(({ path }) => path === mountPath)?.id ?? null;
  }
  try {
    const { ino, ctimeNs } = await lstat(mountPath, { bigint: true });
    return `${ino}:${ctimeNs}`;
  } catch {
    return null;
  }
}

async function overwriteSign(file: string, text: string): Promise<void> {
  await using sign = await open(file, "r+");
  await sign.write(text, 0);
}

// The demo's real server: smbd on loopback, with two relays as cables.

/** `parent` is a folder for it to live in; `environment` marks its processes. Rejects when smbd does not start. */
async function startSmbNas(parent: string, environment: Readonly<Record<string, string>>): Promise<Nas> {
  const rig = await startPlainRig({ shares: [SHARE], parent, environment });
  return {
    driver: "smb",
    serverFolder: rig.exportPath(SHARE),
    cables: { tb: smbCable(rig, "tb"), fallback: smbCable(rig, "fallback") },
    shareConfig: [
      `thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"`,
      `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
      `username = ${JSON.stringify(rig.username)}`,
      `password = "\${${PASSWORD_VARIABLE}}"`,
      `driver = "rclone"`,
    ],
    environment: { [PASSWORD_VARIABLE]: rig.password },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

function smbCable(rig: PlainRig, route: RouteName): Cable {
  const relay = rig.relays[route];
  return {
    route,
    address: `${relay.host}:${relay.port}`,
    get plugged() {
      return relay.mode === "pass";
    },
    pull: () => relay.setMode("refuse"),
    plug: () => relay.setMode("pass"),
  };
}

// The demo's server where SMB is not available: one folder, and for each route a folder that leads to it. A cable is
// pulled by renaming that folder away.

/** `parent` is a folder for it to live in. */
export async function startLocalNas(parent: string): Promise<Nas> {
  const serverFolder = join(parent, "server");
  const cables = join(parent, "cables");
  await mkdir(serverFolder);
  await mkdir(cables);
  const routes = {
    tb: await localCable("tb", join(cables, "thunderbolt"), serverFolder),
    fallback: await localCable("fallback", join(cables, "fallback"), serverFolder),
  };
  return {
    driver: "local",
    serverFolder,
    cables: routes,
    shareConfig: [
      `thunderbolt_path = ${JSON.stringify(routes.tb.address)}`,
      `fallback_path = ${JSON.stringify(routes.fallback.address)}`,
      `driver = "local"`,
    ],
    environment: {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function localCable(route: RouteName, path: string, serverFolder: string): Promise<Cable> {
  const pulled = join(dirname(path), `.${basename(path)}-pulled`);
  await symlink(serverFolder, path);
  let plugged = true;
  return {
    route,
    address: path,
    get plugged() {
      return plugged;
    },
    async pull() {
      if (!plugged) return;
      plugged = false;
      await rename(path, pulled);
    },
    async plug() {
      if (plugged) return;
      plugged = true;
      await rename(pulled, path);
    },
  };
}

// The demo's daemon: the same program, in a process of its own.

type MonitorProcess = Awaited<ReturnType<typeof startMonitor>>;

interface MonitorOptions extends Pick<StageParts, "program" | "environment" | "onStart"> {
  /** The script of a service manager's process, under which the daemon can hand over; null: it runs by itself. */
  readonly keeper: string | null;
  /** Its stderr is appended to this file. */
  readonly outputFile: string;
}

const ENDS_WITHIN_MS = 15_000;

/** Resolves when the process runs, which is before it serves. */
async function startMonitor(options: MonitorOptions) {
  const { keeper, program } = options;
  const [command = process.execPath, ...rest] = keeper === null ? program : ["/bin/sh", keeper, ...program];
  const started = await startDetached(command, [...rest, "monitor", "--unmount-on-exit"], {
    env: options.environment,
    logPath: options.outputFile,
  });
  const identity = await processIdentity(started.pid);
  if (identity !== null) options.onStart(identity);
  let running = true;
  started.onExit(() => {
    running = false;
  });
  return {
    pid: started.pid,
    get running() {
      return running;
    },
    /** Resolves with how it ended, at once if it has already. Rejects with `timed_out` when it does not in 15 s. */
    async end(signal: "SIGTERM" | "SIGKILL"): Promise<ExitInfo> {
      if (running) process.kill(started.pid, signal);
      if (await settledWithin(systemClock, ENDS_WITHIN_MS, started.exited)) return started.exited;
      throw new MountaineerError("timed_out", `the daemon (pid ${started.pid}) did not end on ${signal}`);
    },
  };
}

// The interface of the demo's server: a folder, two cables to it, and the config of a share on it.

interface Cable {
  readonly route: RouteName;
  /** What the configuration calls the other end. */
  readonly address: string;
  readonly plugged: boolean;
  pull(): Promise<void>;
  plug(): Promise<void>;
}

interface Nas extends AsyncDisposable {
  readonly driver: DemoDriver;
  /** The share's folder on the server's own disk: never behind a mount. */
  readonly serverFolder: string;
  readonly cables: Readonly<Record<RouteName, Cable>>;
  /** The share's keys in config.toml, but for its name. */
  readonly shareConfig: readonly string[];
  /** What the configuration's references mean. */
  readonly environment: Readonly<Record<string, string>>;
}

export type DemoDriver = "smb" | "local";
