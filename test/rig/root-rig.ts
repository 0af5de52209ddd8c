// A real NAS with two routes on one machine: needs root, network namespaces, samba and FUSE. Nothing in it can
// reach the world, and any number of rigs run beside each other.

import { execFileSync, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { collect } from "../support/collect.ts";
import { command } from "./root-rig-command.ts";
import { type Cuts, LINKS, type Route, startRigNetwork } from "./root-rig-network.ts";
import { startRigServer } from "./root-rig-server.ts";

export interface RootRigOptions {
  /** Names of the shares; each exports an empty folder. Default: one, "CORE". */
  readonly shares?: readonly string[];
  /** One smbd at both addresses, as a NAS has; default: one for each, with no knowledge of each other. */
  readonly oneServer?: boolean;
  /** More lines of its [global] section. */
  readonly settings?: readonly string[];
}

export interface RootRig extends AsyncDisposable {
  /** Put before a command's argv, it runs on the workstation; its mount namespace stays the test's. */
  readonly enter: readonly string[];
  /** The same for the server. */
  readonly enterServer: readonly string[];
  readonly tbHost: string;
  readonly fallbackHost: string;
  readonly username: string;
  readonly password: string;
  /** A temporary folder for homes and the like; what is still mounted below it at the end is unmounted. */
  readonly folder: string;
  /** The folder that a share exports, to see what reached the server. */
  exportPath(share: string): string;
  readonly cut: Cuts;
  /** Undoes every cut that is still made. */
  restoreAll(): Promise<void>;
  flap(times: number, seconds: number, route?: Route): Promise<void>;
  killServerOn(route: Route): Promise<void>;
  startServerOn(route: Route): Promise<void>;
  /** TCP is accepted, SMB says nothing, until the returned function is called. */
  freezeServerOn(route: Route): () => void;
  /** One TCP connect from the workstation: the event or the error's code ("timeout" when neither came in time). */
  connect(host: string, timeoutMs: number): Promise<string>;
}

const TOOLS = ["ip", "nsenter", "nft", "smbd", "pdbedit", "fusermount3"];

/** What this machine lacks for the root rig, as the reason to skip a test; null when nothing. */
export function missingForRootRig(): string | null {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root";
  const folders = (process.env["PATH"] ?? "").split(":");
  const missing = TOOLS.filter((tool) => !folders.some((folder) => isExecutable(path.join(folder, tool))));
  if (missing.length > 0) return `needs ${missing.join(", ")}`;
  if (!isExecutable("/dev/fuse", constants.R_OK | constants.W_OK)) return "needs /dev/fuse";
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore", timeout: 5000 });
  } catch {
    return "needs the right to make network namespaces";
  }
  return null;
}

function isExecutable(file: string, mode = constants.X_OK): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

let rigs = 0;

export async function startRootRig({
  shares = ["CORE"],
  oneServer = false,
  settings = [],
}: RootRigOptions = {}): Promise<RootRig> {
  const token = process.env["MOUNTAINEER_TEST_RUN"] ?? `p${process.pid}`;
  const prefix = `mt-${token}-${rigs++}`;
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "rig-")));
  await using starting = new AsyncDisposableStack();
  starting.defer(() => removeFolder(folder));
  const network = starting.use(await startRigNetwork(prefix));
  const enter = ["nsenter", `--net=/run/netns/${network.workstation}`];
  const connect = (host: string, timeoutMs: number): Promise<string> => connectFrom(enter, host, timeoutMs);

  const exports = new Map(shares.map((share) => [share, path.join(folder, "export", share)]));
  for (const exported of exports.values()) await mkdir(exported, { recursive: true });
  const username = userInfo().username;
  const password = `pw-${token}-${Math.random().toString(36).slice(2)}`;
  const untilAnswers = async (address: string): Promise<void> => {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const answer = await connect(address, 1000);
      if (answer === "connect") return;
      if (performance.now() > deadline) throw new Error(`smbd at ${address} does not answer: ${answer}`);
      // A link that is down answers at once, and each question is a process.
      await pause(100);
    }
  };
  const server = starting.use(
    await startRigServer({
      folder,
      namespace: network.server,
      exports,
      oneServer,
      settings,
      username,
      password,
      untilAnswers,
    }),
  );

  const restores = new Set<() => Promise<void>>();
  const remembered = (make: Cuts[keyof Cuts]): Cuts[keyof Cuts] => {
    return async (route) => {
      const restore = await make(route);
      const once = async (): Promise<void> => {
        if (restores.delete(once)) await restore();
      };
      restores.add(once);
      return once;
    };
  };
  const owned = starting.move();
  return {
    enter,
    enterServer: ["nsenter", `--net=/run/netns/${network.server}`],
    tbHost: LINKS.tb.far,
    fallbackHost: LINKS.fallback.far,
    username,
    password,
    folder,
    exportPath(share) {
      const exported = exports.get(share);
      if (exported === undefined) throw new Error(`the rig has no share ${share}`);
      return exported;
    },
    cut: {
      ownLinkDown: remembered(network.cut.ownLinkDown),
      carrierLost: remembered(network.cut.carrierLost),
      farLinkDown: remembered(network.cut.farLinkDown),
      silence: remembered(network.cut.silence),
      reject: remembered(network.cut.reject),
      narrow: remembered(network.cut.narrow),
    },
    async restoreAll() {
      for (const restore of [...restores].reverse()) await restore();
    },
    flap: (times, seconds, route) => network.flap(times, seconds, route),
    killServerOn: (route) => server.kill(route),
    startServerOn: (route) => server.start(route),
    freezeServerOn: (route) => server.freeze(route),
    connect,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const CONNECT = `
const [host, port, timeout] = process.argv.slice(1);
const socket = require("node:net").connect({ host, port: Number(port), signal: AbortSignal.timeout(Number(timeout)) });
const say = (word) => { process.stdout.write(word); socket.destroy(); };
socket.once("connect", () => say("connect"));
socket.once("error", (error) => say(error.name === "AbortError" ? "timeout" : error.code));
`;

async function connectFrom(enter: readonly string[], host: string, timeoutMs: number): Promise<string> {
  const [file = "", ...prefix] = enter;
  const child = spawn(file, [...prefix, process.execPath, "-e", CONNECT, host, "445", String(timeoutMs)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { code, stdout } = await collect(child).ended;
  if (stdout === "") throw new Error(`connect ended with ${code}`);
  return stdout;
}

/** Unmounts what is mounted below the folder, and only that, before it is deleted. */
async function removeFolder(folder: string): Promise<void> {
  for (const { point, minor, fuse } of (await mountsBelow(folder)).reverse()) {
    // Read before the unmount, as afterwards nothing names it: a hung file system would keep its callers blocked.
    if (fuse) await writeFile(`/sys/fs/fuse/connections/${minor}/abort`, "1").catch(() => undefined);
    await command("umount", ["-l", point]);
  }
  const left = await mountsBelow(folder);
  if (left.length > 0) throw new Error(`still mounted: ${left.map(({ point }) => point).join(", ")}`);
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

async function mountsBelow(folder: string): Promise<{ point: string; minor: string; fuse: boolean }[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const point = fields[4]?.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    if (point === undefined || !point.startsWith(`${folder}/`)) return [];
    return [{ point, minor: fields[2]?.split(":")[1] ?? "", fuse: / - fuse(\.| )/.test(line) }];
  });
}
