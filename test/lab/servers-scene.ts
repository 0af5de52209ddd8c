// Three servers and one share: two of one ServerGuid, of which one is a clone with one more file and creation times of its
// own, and a third one. Cables lead to whichever, the configuration names whichever, and programs write all the time.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { type SimulatedCable, startSimulatedCable } from "../../src/demo/stage/simulated-cable.ts";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { fsFilesIn } from "../../src/shares/drivers/fs/mount-arguments.ts";
import { shareFiles } from "../../src/shares/drivers/share-files.ts";
import { endMounts, type LiveHome, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { clone, fill, setCreated } from "../rig/two-servers.ts";
import type { Monitor } from "../support/daemon.ts";
import { serversOf } from "../support/processes.ts";

export type ServerName = "A" | "CLONE" | "OTHER";
export const SERVER_NAMES: readonly ServerName[] = ["A", "CLONE", "OTHER"];
export const SHARE = "CORE";
const RUN_MS = 20_000;
const run = promisify(execFile);

export interface ServersScene extends AsyncDisposable {
  readonly home: LiveHome;
  readonly servers: Readonly<Record<ServerName, PlainRig>>;
  /** The addresses that the configuration names at first; where they lead can be changed. */
  readonly cables: Readonly<Record<"tb" | "fallback", SimulatedCable>>;
  readonly mounted: string;
  start(): Promise<Monitor>;
  lead(route: "tb" | "fallback", to: ServerName): Promise<void>;
  /** Names other hosts: of one server, the cables, or some where nobody listens. */
  edit(hosts: ServerName | "cables" | "nowhere", password?: string): Promise<void>;
  /** Names the cables of these routes alone. */
  editRoutes(routes: readonly ("tb" | "fallback")[]): Promise<void>;
  /** `sh -c` in a process of its own, as the mount may hang; null: it failed, or took longer than `withinMs`. */
  sh(script: string, withinMs?: number): Promise<string | null>;
  onServer(server: ServerName, path: string): Promise<string | null>;
  /** The path of a file on the server's own disk. */
  exported(server: ServerName, path: string): string;
  filesOn(server: ServerName): Promise<readonly string[]>;
  status(): Promise<ShareStatus>;
  until(what: string, holds: (share: ShareStatus) => boolean, ms?: number): Promise<ShareStatus>;
  /** The processes that serve the mount. */
  programs(): Promise<readonly number[]>;
  /** What the program that serves the mount has noted. */
  journal(): Promise<string>;
  /** Ends of the daemon's log and the program's. */
  said(): Promise<string>;
}

async function serversScene(t: TestContext, settings: readonly string[] = []): Promise<ServersScene> {
  const shareName = `core-${process.pid.toString(36)}`;
  const ends = new AsyncDisposableStack();
  const rig = async (netbiosName: string): Promise<PlainRig> =>
    ends.use(await startPlainRig({ shares: [shareName], netbiosName }));
  const [a, copy, other] = await Promise.all([rig("NAS"), rig("NAS"), rig("ELSE")]);
  const servers = { A: a, CLONE: copy, OTHER: other };
  await fill(a.exportPath(shareName), ["first.txt", "second.dat"]);
  await setCreated(a, shareName, "first.txt");
  await clone(a.exportPath(shareName), copy.exportPath(shareName));
  await writeFile(join(copy.exportPath(shareName), "one-more.txt"), "of the clone");
  await writeFile(join(a.exportPath(shareName), "only-a.txt"), "of the original");
  await setCreated(copy, shareName, "first.txt", "2020:01:02-03:04:05");
  await fill(other.exportPath(shareName), ["elsewhere.txt"]);
  const cable = async (host: string): Promise<SimulatedCable> =>
    ends.use(await startSimulatedCable({ host, targetHost: "127.0.0.1", targetPort: a.serverPort }));
  const cables = { tb: await cable("127.0.0.5"), fallback: await cable("127.0.0.6") };
  const home = await liveHome(t, {
    env: { RIG_PASSWORD: a.password, MOUNTAINEER_LOG: "debug" },
    before: () => ends.disposeAsync(),
  });
  const mounted = join(home.folder, "Shares", SHARE);
  const configText = (tb: string | null, fallback: string | null, password: string): string =>
    [
      "[global]",
      `shares_root = "${join(home.folder, "Shares")}"`,
      "check_interval_secs = 0.5",
      "connect_timeout_ms = 3000",
      ...(settings.some((line) => line.startsWith("outage_patience_secs"))
        ? []
        : ["outage_patience_secs = 20"]),
      ...settings,
      "[sync]",
      QUICK_SYNC,
      "[[shares]]",
      `name = "${SHARE}"`,
      `share_name = "${shareName}"`,
      ...(tb === null ? [] : [`thunderbolt_host = "${tb}"`]),
      ...(fallback === null ? [] : [`fallback_host = "${fallback}"`]),
      `username = "${a.username}"`,
      `password = "${password}"`,
      "",
    ].join("\n");
  const edit = (hosts: ServerName | "cables" | "nowhere", password = "${RIG_PASSWORD}"): Promise<void> => {
    if (hosts === "cables") {
      const { tb, fallback } = cables;
      return home.writeConfig(
        configText(`${tb.host}:${tb.port}`, `${fallback.host}:${fallback.port}`, password),
      );
    }
    if (hosts === "nowhere") return home.writeConfig(configText("127.0.0.7:9", "127.0.0.8:9", password));
    const { tbHost, tbPort, fallbackHost, fallbackPort } = servers[hosts];
    return home.writeConfig(configText(`${tbHost}:${tbPort}`, `${fallbackHost}:${fallbackPort}`, password));
  };
  await edit("cables");
  const monitors: Monitor[] = [];
  const files = fsFilesIn(shareFiles(home.home, SHARE).folder);
  const exported = (server: ServerName, path = ""): string =>
    join(servers[server].exportPath(shareName), path);
  const status = async (): Promise<ShareStatus> => {
    const report = await home.glance();
    return report?.shares[0] ?? assert.fail("no daemon answers");
  };

  return {
    home,
    servers,
    cables,
    mounted,
    async start() {
      const started = await home.start();
      monitors.push(started);
      return started;
    },
    lead: (route, to) => cables[route].leadTo("127.0.0.1", servers[to].serverPort),
    edit,
    editRoutes(routes) {
      const host = (route: "tb" | "fallback"): string | null =>
        routes.includes(route) ? `${cables[route].host}:${cables[route].port}` : null;
      return home.writeConfig(configText(host("tb"), host("fallback"), "${RIG_PASSWORD}"));
    },
    async sh(script, withinMs = RUN_MS) {
      const options = { cwd: "/", timeout: withinMs, killSignal: "SIGKILL" } as const;
      const ended = await run("sh", ["-c", script], options).catch(() => null);
      return ended?.stdout ?? null;
    },
    async onServer(server, path) {
      try {
        return await readFile(exported(server, path), "utf8");
      } catch (error) {
        if (systemErrorCode(error) === "ENOENT") return null;
        throw error;
      }
    },
    exported,
    filesOn: (server) => readdir(exported(server)),
    status,
    until: (what, holds, ms) => untilShareOf(home, SHARE, what, holds, ms),
    programs: () => serversOf(home.home),
    journal: () => readFile(join(files.folder, "journal"), "utf8").catch(() => ""),
    async said() {
      const log = (await home.log())
        .filter(
          ({ message }) => !["management request", "cycle", "probe", "host probed"].includes(String(message)),
        )
        .slice(-80)
        .map((line) => JSON.stringify(line));
      const program = await readFile(files.log, "utf8").catch(String);
      return [...log, ...program.split("\n").slice(-60)].join("\n");
    },
    [Symbol.asyncDispose]: () => endMounts(home, [SHARE], monitors),
  };
}

/** Plays a story, whose failure tells what the daemon and the program said. */
export async function playServers(
  t: TestContext,
  settings: readonly string[],
  story: (scene: ServersScene) => Promise<void>,
): Promise<void> {
  await using scene = await serversScene(t, settings);
  try {
    await story(scene);
  } catch (error) {
    t.diagnostic(await scene.said());
    throw error;
  }
}

export function isMounted({ mount_state, mount_alive, active_interface }: ShareStatus): boolean {
  return mount_state === "mounted" && mount_alive && active_interface !== "none";
}

export function isServed(share: ShareStatus): boolean {
  return isMounted(share) && share.moves?.phase === "serving";
}
