// The real program with a gateway: `mountaineer monitor` on a temporary home, its configuration edited as people do.
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connectToDaemon, type DaemonClient } from "../../src/api/client/client.ts";
import type { BackendStatus, StatusReport } from "../../src/api/contract/contract.ts";
import { createTestHome, type Monitor, type TestHome } from "../support/daemon.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { connectLight, type LightClient, type LightClientOptions } from "./light-client.ts";

/** How long anything may take on a busy machine, ms. */
export const SETTLES_MS = 20_000;

const HANDS_OVER_MS = 150_000;

/** Values of one section, as TOML writes them; tables inline. */
type TomlValue = string | number | boolean | readonly TomlValue[] | { readonly [key: string]: TomlValue };
export type Section = { readonly [key: string]: TomlValue };

/** What differs from one configuration to the next; `[server]` and `[sync]` are the rig's. */
export interface GatewaySections {
  readonly backends: { readonly [name: string]: Section };
  /** Keys of `[server]` beside the port. */
  readonly server?: Section;
  /** Further sections, by their name. */
  readonly more?: { readonly [section: string]: Section };
}

export interface GatewayRig extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/mcp` */
  readonly url: string;
  readonly home: TestHome;
  readonly folder: string;
  readonly pid: number;
  /** The text that `edit` would write. */
  text(sections: GatewaySections): string;
  /** Replaces the file as editors do, and waits until the daemon runs these bytes. */
  edit(sections: GatewaySections): Promise<void>;
  /** Replaces the file, and waits for nothing. */
  save(sections: GatewaySections): Promise<void>;
  /** A client of `path` below the endpoint, ended with the rig. */
  connect(options?: LightClientOptions, path?: string): Promise<LightClient>;
  daemon(): Promise<DaemonClient>;
  status(): Promise<StatusReport>;
  backend(name: string): Promise<BackendStatus>;
  untilBackend(
    name: string,
    holds: (backend: BackendStatus) => boolean,
    deadlineMs?: number,
  ): Promise<BackendStatus>;
  /** All of them are Ready. */
  untilReady(...names: readonly string[]): Promise<void>;
  /** Pids of whatever was started for a backend of this home, and lives. */
  processes(): Promise<readonly number[]>;
  /** Ends the daemon alone, by SIGTERM or by SIGKILL; `comeBack` starts the next one. */
  goDown(by: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Resolves when the gateway listens again. */
  comeBack(): Promise<void>;
  /**
   * SIGKILL for the daemon in charge of one that was `kept`. Resolves when its keeper has ended, too: true, and `comeBack`
   * starts the next one; or when another daemon is in charge: false.
   */
  killDaemon(): Promise<boolean>;
  /** Whether the process that was started has ended. */
  isOver(): Promise<boolean>;
  /** Before it is stopped. */
  beforeStop(end: () => Promise<unknown>): void;
  /** SIGTERM; rejects when a process outlives it. Idempotent. */
  stop(): Promise<{ readonly code: number | null; readonly ms: number }>;
}

export interface GatewayRigOptions {
  /** Added to the daemon's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Can hand over; its `pid` is the keeper's then. */
  readonly kept?: boolean;
}

/** As `openGatewayRig`, ended with the test, whose failure it is when a process outlives it. */
export async function startGatewayRig(
  t: TestContext,
  sections: GatewaySections,
  options: GatewayRigOptions = {},
): Promise<GatewayRig> {
  const rig = await openGatewayRig(sections, options);
  t.after(() => rig[Symbol.asyncDispose]());
  return rig;
}

/** Starts the daemon; resolves when its gateway listens, and waits for no backend. */
export async function openGatewayRig(
  sections: GatewaySections,
  { env = {}, kept = false }: GatewayRigOptions = {},
): Promise<GatewayRig> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "mt-mcp-")));
  const port = await freePort();
  const home = await createTestHome({ home: path.join(folder, "home"), env: { HOME: folder, ...env }, kept });
  const text = ({ backends, server = {}, more = {} }: GatewaySections): string =>
    [
      section("sync", { detection: "inotify", debounce: 0.1 }),
      section("server", { port, ...server }),
      // What tests and benches send in a second is more than people do.
      ...Object.entries({ limits: { calls_per_second: 0 }, ...more }).map(([name, values]) =>
        section(name, values),
      ),
      ...Object.entries(backends).map(([name, values]) => section(`backends.${name}`, values)),
    ].join("\n");
  await writeFile(home.configFile, text(sections));
  let monitor: Monitor;
  try {
    monitor = await home.startMonitor();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const ends: (() => Promise<unknown>)[] = [];
  let stopped: ReturnType<GatewayRig["stop"]> | null = null;
  const self: GatewayRig = {
    url: `http://127.0.0.1:${port}/mcp`,
    home,
    folder,
    get pid() {
      return monitor.pid;
    },
    text,
    async save(next) {
      await writeFile(`${home.configFile}.new`, text(next));
      await rename(`${home.configFile}.new`, home.configFile);
    },
    async edit(next) {
      await self.save(next);
      const sha256 = createHash("sha256").update(text(next)).digest("hex");
      const daemon = await self.daemon();
      try {
        await eventually(
          async () => (await daemon.call("sync", null, AbortSignal.timeout(ANSWERS_MS))).sha256 === sha256,
        );
      } catch (error) {
        const { events } = await daemon.call("sync", null, AbortSignal.timeout(ANSWERS_MS));
        throw new Error(`the edit was not applied: ${JSON.stringify(events.at(-1))}`, { cause: error });
      }
    },
    async connect(options, path = "") {
      const client = await connectLight(`${self.url}${path}`, options);
      ends.push(async () => client[Symbol.asyncDispose]());
      return client;
    },
    async daemon() {
      try {
        // Between two daemons none listens for a moment.
        return await eventually(() => connectToDaemon(home.home), ANSWERS_MS);
      } catch (error) {
        throw new Error(`no daemon runs; it said:\n${await monitor.stderr()}`, { cause: error });
      }
    },
    status: async () => (await self.daemon()).call("status", null, AbortSignal.timeout(ANSWERS_MS)),
    async backend(name) {
      const { backends } = await self.status();
      const found = backends?.find((each) => each.name === name);
      if (found === undefined) throw new Error(`status knows no backend ${name}`);
      return found;
    },
    async untilBackend(name, holds, deadlineMs = SETTLES_MS) {
      let last: BackendStatus | null = null;
      try {
        return await eventually(async () => {
          last = await self.backend(name);
          return holds(last) && last;
        }, deadlineMs);
      } catch (error) {
        const seen = JSON.stringify(last, null, 2);
        throw new Error(`backend ${name} did not come to that: ${seen}`, { cause: error });
      }
    },
    async untilReady(...names) {
      for (const name of names) await self.untilBackend(name, ({ phase }) => phase === "Ready");
    },
    processes: () => processesOf(folder, monitor.pid),
    async goDown(by) {
      if (by === "SIGKILL") await monitor.kill9();
      else await monitor.stop();
    },
    async comeBack() {
      monitor = await home.startMonitor();
      await untilListening();
    },
    beforeStop: (end) => void ends.push(end),
    isOver: () => Promise.race([monitor.ended.then(() => true), pause(0, false)]),
    async killDaemon() {
      const { pid } = (await self.status()).global;
      if (pid === null) throw new Error("no daemon is in charge");
      process.kill(pid, "SIGKILL");
      const isAnother = async (): Promise<boolean> => ((await home.glance())?.global.pid ?? pid) !== pid;
      await eventually(async () => (await self.isOver()) || (await isAnother()));
      return self.isOver();
    },
    stop() {
      stopped ??= (async () => {
        for (const each of ends) await each();
        try {
          const end = await monitor.stop();
          await eventually(async () => (await processesOf(folder, monitor.pid)).length === 0);
          return end;
        } catch (error) {
          const left = await processesOf(folder, monitor.pid);
          const lines = await Promise.all(left.map((pid) => procText(pid, "cmdline")));
          for (const pid of left) endProcess(pid);
          const programs = lines.join("; ").replaceAll("\0", " ");
          throw new Error(`outlived the rig: ${programs}`, { cause: error });
        }
      })();
      return stopped;
    },
    async [Symbol.asyncDispose]() {
      try {
        await self.stop();
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
  const untilListening = (): Promise<unknown> =>
    eventually(async () => (await self.status()).gateway?.url === self.url);
  try {
    await untilListening();
    return self;
  } catch (error) {
    const report = JSON.stringify((await self.status()).gateway ?? null);
    await self[Symbol.asyncDispose]();
    throw new Error(`the gateway does not listen: ${report}`, { cause: error });
  }
}

/** As people do; rejects with what the command said. */
export async function handOver({
  home,
}: {
  readonly home: Pick<TestHome, "cli">;
}): Promise<{ from: number; to: number }> {
  const { code, stdout, stderr } = await home.cli(["restart", "--json"], HANDS_OVER_MS);
  if (code !== 0) throw new Error(`restart ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Sections for a stdio backend that one of our own programs is. */
export function nodeBackend(program: string, args: readonly string[] = [], more: Section = {}): Section {
  return { command: process.execPath, args: [program, ...args], ...more };
}

function section(name: string, values: Section): string {
  const lines = Object.entries(values).map(([key, value]) => `${toml(key)} = ${toml(value)}`);
  return `[${name}]\n${lines.join("\n")}\n`;
}

function toml(value: TomlValue): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([key, each]) => `${toml(key)} = ${toml(each)}`)
    .join(", ")} }`;
}

/** Backends get HOME from the daemon, and so do their children: it marks them. */
async function processesOf(folder: string, daemon: number): Promise<number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0 && pid !== daemon);
  const found: number[] = [];
  for (const pid of pids) {
    const environment = await procText(pid, "environ");
    if (environment.split("\0").includes(`HOME=${folder}`)) found.push(pid);
  }
  return found;
}

/** Empty when the process is gone. */
async function procText(pid: number, file: "cmdline" | "environ"): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
