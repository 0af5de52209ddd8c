// A real SMB server with two routes, on loopback and without root. Two TCP proxies are the cables.
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { chmod, mkdir, mkdtemp, open, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { startSimulatedCable } from "./simulated-cable.ts";

export type PlainRig = Awaited<ReturnType<typeof startPlainRig>>;

interface PlainRigOptions {
  readonly shares: readonly string[];
  /** Default "secret word". */
  readonly password?: string;
  /** The parent of the rig's own folder; default: the system's folder for temporary files. */
  readonly parent?: string;
  /** The server's NetBIOS name; servers of the same name have the same ServerGuid. Default "RIG". */
  readonly netbiosName?: string;
  /** More lines for the section `[global]`. */
  readonly settings?: readonly string[];
  /** Environment variables for the server, in addition to those of this process. */
  readonly environment?: Readonly<Record<string, string>>;
}

const SERVER_HOST = "127.0.0.1";
const START_AT_MOST_MS = 15_000;
const START_ATTEMPTS = 3;
const STDERR_CHARACTERS = 4_000;
/** Folders that are searched after PATH: Debian installs smbd and pdbedit there. */
const MORE_PATH = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** Why this machine cannot run the rig or mount from it, with a hint; null: it can. */
export function missingForPlainRig(): string | null {
  if (process.platform !== "linux") return "the rig needs Linux";
  const missing = ["smbd", "pdbedit", "fusermount3"].filter((name) => programPath(name) === null);
  if (missing.length > 0) return `${missing.join(", ")} not found (apt install samba fuse3)`;
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return "/dev/fuse cannot be opened";
  }
}

/** Starts the server in a temporary folder, on free ports; rigs may run side by side. */
export async function startPlainRig(options: PlainRigOptions) {
  const { shares, password = "secret word", parent = tmpdir(), environment = {} } = options;
  // The folder's name is short, because sockets of the server lie four folders deeper, and the path of a
  // socket has at most 107 bytes.
  const folder = await realpath(await mkdtemp(join(parent, "rig-")));
  const username = userInfo().username;
  const closers: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    await makeFolders(folder, shares);
    const configPath = join(folder, "smb.conf");
    const port = await freePort();
    await writeFile(configPath, serverConfig(folder, port, options));
    await setUser(configPath, username, password);
    const lifeline = join(folder, "lifeline");
    await run("mkfifo", ["-m", "600", lifeline]);
    const start = (): Promise<ChildProcess> => startServer({ configPath, lifeline, port, environment });
    let server = await start();
    closers.push(async () => {
      await endServer(server);
      await endHelpers(folder);
    });
    const target = { targetHost: SERVER_HOST, targetPort: port };
    const tb = await startSimulatedCable({ host: "127.0.0.2", ...target });
    closers.push(() => tb[Symbol.asyncDispose]());
    const fallback = await startSimulatedCable({ host: "127.0.0.3", ...target });
    closers.push(() => fallback[Symbol.asyncDispose]());
    return {
      tbHost: tb.host,
      tbPort: tb.port,
      fallbackHost: fallback.host,
      fallbackPort: fallback.port,
      /** The port of the server itself, on 127.0.0.1, behind both cables. */
      serverPort: port,
      /** smb.conf, for `smbstatus`. */
      configPath,
      cables: { tb, fallback },
      username,
      password,
      /** The share's folder on the server's own disk. */
      exportPath: (share: string) => exportFolder(folder, shares, share),
      log: () => readFile(join(folder, "logs", "smbd.log"), "utf8"),
      /** Changes the password, which takes effect at the next logon. */
      setPassword: (next: string) => setUser(configPath, username, next),
      /** Kills the server with SIGKILL: its connections break, and new ones are refused. */
      killServer: () => endServer(server),
      async startServer(): Promise<void> {
        if (hasEnded(server)) server = await start();
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The folder of a share is named by number, because a share's name may be invalid as a folder's name. */
function exportFolder(folder: string, shares: readonly string[], share: string): string {
  const index = shares.indexOf(share);
  if (index === -1) throw new TypeError(`the rig has no share ${share}`);
  return join(folder, "exports", String(index));
}

const STATE_FOLDERS = ["private", "lock", "state", "cache", "pid", "ncalrpc", "logs"];

async function makeFolders(folder: string, shares: readonly string[]): Promise<void> {
  // An smbd that root started changes to the user of each connection, who must be able to enter the folder.
  await chmod(folder, 0o755);
  for (const name of STATE_FOLDERS) await mkdir(join(folder, name), { mode: 0o755 });
  for (const share of shares) await mkdir(exportFolder(folder, shares, share), { recursive: true });
}

function serverConfig(
  folder: string,
  port: number,
  { shares, netbiosName = "RIG", settings = [] }: PlainRigOptions,
): string {
  const global = [
    "server role = standalone server",
    "workgroup = RIG",
    `netbios name = ${netbiosName}`,
    "disable netbios = yes",
    `smb ports = ${port}`,
    `interfaces = ${SERVER_HOST}`,
    "bind interfaces only = yes",
    "server min protocol = SMB2",
    "server multi channel support = no",
    "map to guest = never",
    "load printers = no",
    "printing = bsd",
    "printcap name = /dev/null",
    "disable spoolss = yes",
    "usershare max shares = 0",
    "dns proxy = no",
    "logging = file",
    "log level = 0",
    `log file = ${join(folder, "logs", "smbd.log")}`,
    `passdb backend = tdbsam:${join(folder, "private", "passdb.tdb")}`,
    `private dir = ${join(folder, "private")}`,
    `lock directory = ${join(folder, "lock")}`,
    `state directory = ${join(folder, "state")}`,
    `cache directory = ${join(folder, "cache")}`,
    `pid directory = ${join(folder, "pid")}`,
    `ncalrpc dir = ${join(folder, "ncalrpc")}`,
    ...settings,
  ];
  const section = (name: string, lines: readonly string[]): string =>
    [`[${name}]`, ...lines.map((line) => `  ${line}`), ""].join("\n");
  return [
    section("global", global),
    ...shares.map((share) =>
      section(share, [
        `path = ${exportFolder(folder, shares, share)}`,
        "read only = no",
        `force user = ${userInfo().username}`,
        "oplocks = no",
        "level2 oplocks = no",
        "strict sync = no",
      ]),
    ),
  ].join("\n");
}

/** Adds the user, or changes the password of an existing one. */
async function setUser(configPath: string, username: string, password: string): Promise<void> {
  await run("pdbedit", ["-s", configPath, "-a", "-u", username, "-t"], `${password}\n${password}\n`);
}

async function run(name: string, args: readonly string[], stdin = ""): Promise<void> {
  const limits = { deadlineMs: START_AT_MOST_MS };
  const { exitCode, stderr, stdout } = await runCommand(required(name), args, { ...limits, stdin });
  if (exitCode !== 0) throw failure(`${name} failed: ${stderr || stdout}`);
}

interface ServerStart {
  readonly configPath: string;
  readonly lifeline: string;
  readonly port: number;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Starts smbd. Its standard input is a FIFO that this process holds open, so smbd ends with this process,
 * even after SIGKILL.
 */
async function startServer({ configPath, lifeline, port, environment }: ServerStart): Promise<ChildProcess> {
  for (let attempt = 1; ; attempt++) {
    const readEnd = await open(lifeline, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = await open(lifeline, constants.O_WRONLY);
    const server = spawn(required("smbd"), ["-F", "--no-process-group", "-s", configPath], {
      stdio: [readEnd.fd, "ignore", "pipe"],
      detached: true,
      cwd: "/",
      env: { ...process.env, ...environment },
    });
    server.once("exit", () => void writeEnd.close());
    await readEnd.close();
    let stderr = "";
    server.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-STDERR_CHARACTERS);
    });
    if (await listens(server, port)) return server;
    await endServer(server);
    if (attempt === START_ATTEMPTS) throw failure(`smbd did not start: ${stderr}`);
  }
}

async function listens(server: ChildProcess, port: number): Promise<boolean> {
  const untilMs = systemClock.monotonicMs() + START_AT_MOST_MS;
  while (systemClock.monotonicMs() < untilMs && !hasEnded(server)) {
    const socket = connect({ host: SERVER_HOST, port });
    const answered = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (answered) return true;
    await systemClock.sleep(10);
  }
  return false;
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null;
}

/** Kills smbd's process group, which includes the processes that serve its connections. */
async function endServer(server: ChildProcess): Promise<void> {
  if (hasEnded(server) || server.pid === undefined) return;
  const exited = once(server, "exit");
  process.kill(-server.pid, "SIGKILL");
  await exited;
}

/** Ends the helper processes that smbd starts, in separate sessions, when a client lists the shares. */
async function endHelpers(folder: string): Promise<void> {
  try {
    const leader = Number.parseInt(await readFile(join(folder, "pid", "samba-dcerpcd.pid"), "utf8"), 10);
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // No helper was started, or it has ended.
    if (systemErrorCode(error) !== "ENOENT" && systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/** Below the ephemeral range: a port in that range may be taken before smbd binds it. */
const PORTS = { from: 15_000, to: 32_000 } as const;
const PORT_TRIES = 50;

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
  throw failure(`no free port between ${PORTS.from} and ${PORTS.to}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, SERVER_HOST, () => resolve(true));
  });
  if (!listening) return false;
  server.close();
  await once(server, "close");
  return true;
}

function programPath(name: string): string | null {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_PATH]) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {}
  }
  return null;
}

function required(name: string): string {
  const path = programPath(name);
  if (path === null) throw failure(`${name} is not installed`);
  return path;
}

function failure(text: string): MountaineerError {
  return new MountaineerError("program_unavailable", text.trim());
}
