// The root rig's server: one smbd for each address, with the same users and the same exports, so that one of
// them can be gone, frozen or back while the other goes on; or one smbd for both, as a NAS is one server.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { command } from "./root-rig-command.ts";
import { LINKS, type Route } from "./root-rig-network.ts";

export interface RigServer extends AsyncDisposable {
  /** smbd at that address is gone at once, with every connection to it. */
  kill(route: Route): Promise<void>;
  /** Comes back and answers; a running one stays as it is. */
  start(route: Route): Promise<void>;
  /** TCP is accepted and nothing is said, until the returned function thaws it. */
  freeze(route: Route): () => void;
}

export interface RigServerOptions {
  readonly folder: string;
  readonly namespace: string;
  /** Share name → exported folder, for each address. */
  readonly exports: ReadonlyMap<string, string>;
  /** One smbd at both addresses: it is gone, frozen or back at both. */
  readonly oneServer: boolean;
  /** More lines of its [global] section. */
  readonly settings: readonly string[];
  readonly username: string;
  readonly password: string;
  /** Resolves once a TCP connection from the workstation to the address is accepted. */
  readonly untilAnswers: (address: string) => Promise<void>;
}

export async function startRigServer(options: RigServerOptions): Promise<RigServer> {
  const running = new Map<Route, ChildProcess>();
  const configs = new Map<Route, string>();
  const processOf = (route: Route): Route => (options.oneServer ? "tb" : route);
  for (const route of ["tb", "fallback"] as const) {
    if (processOf(route) === route) configs.set(route, await writeConfig(options, route));
  }

  const config = (route: Route): string => {
    const file = configs.get(route);
    if (file === undefined) throw new Error(`no smbd for ${route}`);
    return file;
  };
  const start = async (at: Route): Promise<void> => {
    const route = processOf(at);
    if (running.has(route)) return;
    const log = openSync(path.join(options.folder, `smbd-${route}.out`), "a");
    const child = spawn(
      "nsenter",
      [`--net=/run/netns/${options.namespace}`, "smbd", "-F", "--no-process-group", "-s", config(route)],
      // A group of its own, so that its processes for each connection end with it.
      { stdio: ["ignore", log, log], detached: true },
    );
    running.set(route, child);
    const gone = new Promise<never>((_, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        if (running.get(route) === child) running.delete(route);
        void smbdLog(options.folder, route).then((said) =>
          reject(new Error(`smbd ended (${code ?? signal}): ${said}`)),
        );
      });
    });
    gone.catch(() => undefined);
    await Promise.race([gone, options.untilAnswers(LINKS[route].far)]);
  };
  const kill = async (at: Route): Promise<void> => {
    const route = processOf(at);
    const child = running.get(route);
    if (child === undefined) return;
    running.delete(route);
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    signalGroup(child, "SIGKILL");
    await ended;
  };
  const end = async (): Promise<void> => {
    await Promise.all([kill("tb"), kill("fallback")]);
    // Whoever asks for the list of shares makes smbd start helpers, which outlive it.
    const helpers = await command("pgrep", ["-f", `configfile=${options.folder}/smbd-`]).catch(() => "");
    for (const pid of helpers.split("\n").flatMap((line) => (line === "" ? [] : [Number(line)]))) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
  };

  try {
    // One database for both; -t reads the password twice from stdin.
    const twice = `${options.password}\n${options.password}\n`;
    await command("pdbedit", ["-s", config("tb"), "-a", "-u", options.username, "-t"], twice);
    await Promise.all([start("tb"), start("fallback")]);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    kill,
    start,
    freeze(route) {
      const child = running.get(processOf(route));
      if (child === undefined) throw new Error(`smbd for ${route} does not run`);
      signalGroup(child, "SIGSTOP");
      return () => signalGroup(child, "SIGCONT");
    },
    [Symbol.asyncDispose]: end,
  };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, signal);
}

async function smbdLog(folder: string, route: Route): Promise<string> {
  const text = await readFile(path.join(folder, `smbd-${route}.out`), "utf8").catch(() => "");
  return text.trim().slice(-2000) || "it said nothing";
}

async function writeConfig(options: RigServerOptions, route: Route): Promise<string> {
  const own = path.join(options.folder, `smbd-${route}`);
  const folders = ["private", "lock", "state", "cache", "pid", "ncalrpc"];
  for (const name of folders) await mkdir(path.join(own, name), { recursive: true, mode: 0o755 });
  const routes = options.oneServer ? (["tb", "fallback"] as const) : [route];
  const addresses = routes.flatMap((each) => [LINKS[each].far, LINKS[each].spare]);
  const lines = [
    "[global]",
    "server role = standalone server",
    "netbios name = RIG",
    `interfaces = ${addresses.map((address) => `${address}/24`).join(" ")}`,
    "bind interfaces only = yes",
    "smb ports = 445",
    "disable netbios = yes",
    "disable spoolss = yes",
    "load printers = no",
    "printcap name = /dev/null",
    "map to guest = Bad User",
    ...options.settings,
    "log level = 1",
    `log file = ${own}/smbd.log`,
    `passdb backend = tdbsam:${options.folder}/passdb.tdb`,
    ...folders.map(
      (name) =>
        `${name === "private" ? "private dir" : name === "ncalrpc" ? "ncalrpc dir" : `${name} directory`} = ${own}/${name}`,
    ),
  ];
  for (const [name, folder] of options.exports) {
    lines.push(`[${name}]`, `path = ${folder}`, "read only = no", "guest ok = no");
  }
  const file = path.join(own, "smb.conf");
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}
