// A real SMB server with two routes, on loopback and without root: two relays are the cables.
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
import { startTcpRelay, type TcpRelay } from "./tcp-relay.ts";

export interface PlainRig extends AsyncDisposable {
  readonly tbHost: string;
  readonly tbPort: number;
  readonly fallbackHost: string;
  readonly fallbackPort: number;
  /** The server itself, on 127.0.0.1, behind both cables. */
  readonly serverPort: number;
  readonly relays: { readonly tb: TcpRelay; readonly fallback: TcpRelay };
  readonly username: string;
  readonly password: string;
  /** The folder on the server's own disk. */
  exportPath(share: string): string;
  /** What the server has logged. */
  log(): Promise<string>;
  /** From the next logon on. */
  setPassword(password: string): Promise<void>;
  /** SIGKILL: connections break, ports refuse. */
  killServer(): Promise<void>;
  startServer(): Promise<void>;
}

interface PlainRigOptions {
  readonly shares: readonly string[];
  /** Default "secret word". */
  readonly password?: string;
  /** The folder to make its own one in; default the system's for temporary files. */
  readonly parent?: string;
  /** Servers of one name have one ServerGuid. Default "RIG". */
  readonly netbiosName?: string;
  /** More lines for all of the server. */
  readonly settings?: readonly string[];
  /** Added to ours for the server. */
  readonly environment?: Readonly<Record<string, string>>;
}

const SERVER_HOST = "127.0.0.1";
const START_AT_MOST_MS = 15_000;
const START_ATTEMPTS = 3;
const COMPLAINT_AT_MOST = 4_000;
/** Where Debian keeps what users seldom run. */
const MORE_PATH = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** What the machine lacks for the rig and for mounting from it, with a hint; null when nothing. */
export function missingForPlainRig(): string | null {
  if (process.platform !== "linux") return "the rig needs Linux";
  const lacking = ["smbd", "pdbedit", "rclone", "fusermount3"].filter((name) => programPath(name) === null);
  if (lacking.length > 0) return `${lacking.join(", ")} not found (apt install samba rclone fuse3)`;
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return "/dev/fuse cannot be opened";
  }
}

/** Starts the server in a temporary folder, on free ports; rigs may run side by side. */
export async function startPlainRig({
  shares,
  password = "secret word",
  parent = tmpdir(),
  netbiosName = "RIG",
  settings = [],
  environment = {},
}: PlainRigOptions): Promise<PlainRig> {
  // Short: sockets of the server lie four folders deeper, and their paths may have 107 bytes.
  const folder = await realpath(await mkdtemp(join(parent, "rig-")));
  const username = userInfo().username;
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  try {
    await makeFolders(folder, shares);
    const configPath = join(folder, "smb.conf");
    const port = await freePort();
    await writeFile(configPath, serverConfig({ folder, shares, username, port, netbiosName, settings }));
    await setUser(configPath, username, password);
    const lifeline = join(folder, "lifeline");
    await makeFifo(lifeline);
    const start = (): Promise<ChildProcess> => startServer({ configPath, lifeline, port, environment });
    let server = await start();
    stack.defer(async () => {
      await endServer(server);
      await endHelpers(folder);
    });
    const target = { targetHost: SERVER_HOST, targetPort: port };
    const tb = stack.use(await startTcpRelay({ host: "127.0.0.2", ...target }));
    const fallback = stack.use(await startTcpRelay({ host: "127.0.0.3", ...target }));
    const ending = stack.move();
    return {
      tbHost: tb.host,
      tbPort: tb.port,
      fallbackHost: fallback.host,
      fallbackPort: fallback.port,
      serverPort: port,
      relays: { tb, fallback },
      username,
      password,
      exportPath: (share) => exportFolder(folder, shares, share),
      log: () => readFile(join(folder, "logs", "smbd.log"), "utf8"),
      setPassword: (next) => setUser(configPath, username, next),
      killServer: () => endServer(server),
      async startServer() {
        if (hasEnded(server)) server = await start();
      },
      [Symbol.asyncDispose]: () => ending[Symbol.asyncDispose](),
    };
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

/** By number: a share's name need not be one that a folder can have. */
function exportFolder(folder: string, shares: readonly string[], share: string): string {
  const index = shares.indexOf(share);
  if (index === -1) throw new TypeError(`the rig has no share ${share}`);
  return join(folder, "exports", String(index));
}

const STATE_FOLDERS = ["private", "lock", "state", "cache", "pid", "ncalrpc", "logs"];

async function makeFolders(folder: string, shares: readonly string[]): Promise<void> {
  // The server, as root, changes to the user it serves, who must come through.
  await chmod(folder, 0o755);
  for (const name of STATE_FOLDERS) await mkdir(join(folder, name), { mode: 0o755 });
  for (const share of shares) await mkdir(exportFolder(folder, shares, share), { recursive: true });
}

interface ServerConfig {
  readonly folder: string;
  readonly shares: readonly string[];
  readonly username: string;
  readonly port: number;
  readonly netbiosName: string;
  readonly settings: readonly string[];
}

function serverConfig({ folder, shares, username, port, netbiosName, settings }: ServerConfig): string {
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
        `force user = ${username}`,
        "oplocks = no",
        "level2 oplocks = no",
        "strict sync = no",
      ]),
    ),
  ].join("\n");
}

/** Adds the user, or gives the one there is another password. */
async function setUser(configPath: string, username: string, password: string): Promise<void> {
  const { exitCode, stderr, stdout } = await runCommand(
    required("pdbedit"),
    ["-s", configPath, "-a", "-u", username, "-t"],
    { clock: systemClock, deadlineMs: START_AT_MOST_MS, stdin: `${password}\n${password}\n` },
  );
  if (exitCode !== 0) throw failure(`pdbedit failed: ${stderr || stdout}`);
}

async function makeFifo(path: string): Promise<void> {
  const { exitCode, stderr } = await runCommand("mkfifo", ["-m", "600", path], {
    clock: systemClock,
    deadlineMs: START_AT_MOST_MS,
  });
  if (exitCode !== 0) throw failure(`mkfifo failed: ${stderr}`);
}

interface ServerStart {
  readonly configPath: string;
  readonly lifeline: string;
  readonly port: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** smbd ends when a FIFO on its standard input does, so it never outlives us, however we end. */
async function startServer({ configPath, lifeline, port, environment }: ServerStart): Promise<ChildProcess> {
  for (let attempt = 1; ; attempt++) {
    const theirs = await open(lifeline, constants.O_RDONLY | constants.O_NONBLOCK);
    const ours = await open(lifeline, constants.O_WRONLY);
    const server = spawn(required("smbd"), ["-F", "--no-process-group", "-s", configPath], {
      stdio: [theirs.fd, "ignore", "pipe"],
      detached: true,
      cwd: "/",
      env: { ...process.env, ...environment },
    });
    server.once("exit", () => void ours.close());
    await theirs.close();
    let complaint = "";
    server.stderr?.on("data", (chunk: Buffer) => {
      complaint = (complaint + chunk.toString("utf8")).slice(-COMPLAINT_AT_MOST);
    });
    if (await listens(server, port)) return server;
    await endServer(server);
    if (attempt === START_ATTEMPTS) throw failure(`smbd did not start: ${complaint}`);
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

/** The processes that serve its connections, too: they are one group. */
async function endServer(server: ChildProcess): Promise<void> {
  if (hasEnded(server) || server.pid === undefined) return;
  const exited = once(server, "exit");
  process.kill(-server.pid, "SIGKILL");
  await exited;
}

/** Ends the helper processes that smbd starts, in their own session, when a client lists its shares. */
async function endHelpers(folder: string): Promise<void> {
  try {
    const leader = Number.parseInt(await readFile(join(folder, "pid", "samba-dcerpcd.pid"), "utf8"), 10);
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // None was started, or it has ended.
    if (systemErrorCode(error) !== "ENOENT" && systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/** Below the ports that systems give to connections: one of those may be taken before smbd binds it. */
const PORTS = { from: 15_000, to: 32_000 } as const;
const PORT_TRIES = 50;

/** Of 127.0.0.1, and free just now. */
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
    } catch {
      // Not in this one.
    }
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
