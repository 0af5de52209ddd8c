// One story: a home of its own on a rig, with its daemons, and nothing left of it when it ends.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { after, before } from "node:test";
import { promisify } from "node:util";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { type RootRig, type RootRigOptions, startRootRig } from "../rig/root-rig.ts";
import { createTestHome, type LogLine, type Monitor, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isGone, serversOf } from "../support/processes.ts";

/** A share of the configuration; what is absent is as the rig has it. */
export interface SceneShare {
  readonly name: string;
  /** The rig's share behind it; default: the one of that name. */
  readonly of?: string;
  readonly thunderboltHost?: string;
  readonly fallbackHost?: string;
  /** More lines of its section; they may name `${RIG_PASSWORD}`, which is set. */
  readonly lines?: readonly string[];
}

export interface SceneOptions {
  readonly shares?: readonly (string | SceneShare)[];
  /** Of `[global]`, beside `shares_root`; `check_interval_secs` is 1 unless told. */
  readonly settings?: Readonly<Record<string, number | boolean>>;
  /** Of all shares; "off" unless told, as most stories are about mounts that are made anew. */
  readonly onRouteChange?: "move" | "remount";
  readonly env?: Readonly<Record<string, string>>;
  /** More sections of the configuration, from the folder that holds the shares' paths. */
  readonly sections?: (sharesRoot: string) => string;
  /** Where the home is, in the stead of a new folder of the rig. */
  readonly home?: string;
  /** Daemons are started as a service manager starts them, and can hand over. */
  readonly kept?: boolean;
}

export interface MountLine {
  readonly id: string;
  readonly path: string;
  readonly source: string;
}

export interface Scene {
  readonly rig: RootRig;
  readonly home: TestHome;
  readonly folder: string;
  readonly config: string;
  /** A path as people use it. */
  at(share: string, ...parts: readonly string[]): string;
  /** Where that path is on the server. */
  exported(share: string, ...parts: readonly string[]): string;
  /** Starts the daemon and waits until all shares are mounted over that route; null: does not wait. */
  start(over: "tb" | "fallback" | null, args?: readonly string[]): Promise<Monitor>;
  untilOver(share: string, route: "tb" | "fallback", deadlineMs?: number): Promise<ShareStatus>;
  /** Reads in a process of its own with a deadline: a hung mount must not hang the test. */
  read(share: string, file: string): Promise<string>;
  /** Writes and closes in a process of its own; `append`: to what is there. */
  write(share: string, file: string, text: string | Buffer, append?: boolean): Promise<void>;
  /** Runs a script inside the share, in a process of its own. */
  shell(share: string, script: string): Promise<void>;
  /** The processes that serve mounts of this home. */
  servers(share?: string): Promise<readonly number[]>;
  /** The one that serves this share. */
  server(share: string): Promise<number>;
  /** What is mounted below the home's folder. */
  mounts(): Promise<readonly MountLine[]>;
  /** Log records with that message, of that share. The log may be a moment behind what status says. */
  logged(message: string, share?: string): Promise<readonly LogLine[]>;
  /** The first of them, waited for. */
  untilLogged(message: string, share?: string): Promise<LogLine>;
  /** Runs when the story ends, last one first. */
  defer(end: () => unknown): void;
}

/**
 * The name a share has on the server. Mounts of one share are adopted wherever they are, and rigs that run beside
 * each other have the same addresses: so each process has names of its own.
 */
export function serverName(share: string): string {
  return `${share}-${process.pid.toString(36)}`;
}

/** A rig with these shares for all stories of a file. */
export function useRig(
  shares: readonly string[],
  options: Omit<RootRigOptions, "shares"> = {},
): { readonly rig: RootRig } {
  let rig: RootRig | null = null;
  before(async () => {
    rig = await startRootRig({ shares: shares.map(serverName), ...options });
  });
  after(() => rig?.[Symbol.asyncDispose]());
  return {
    get rig() {
      if (rig === null) throw new Error("the rig starts before the first test");
      return rig;
    },
  };
}

/** Longer than a dead mount may take to say so: a program's patience is 3 s. */
const SETTLES_MS = 30_000;
/** What is stuck in a dead mount comes free when that is ended; the rest is for a slow machine. */
const TOUCHES_SECS = "20";

let scenes = 0;

/** Plays a story; a failure tells what the daemon said, and a success that left something behind is a failure. */
export async function playScene(
  rig: RootRig,
  options: SceneOptions,
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const shares = (options.shares ?? ["CORE"]).map((share) =>
    typeof share === "string" ? { name: share } : share,
  );
  const folder = path.join(rig.folder, `s${scenes++}`);
  const sharesRoot = path.join(folder, "Shares");
  const config = configText(rig, sharesRoot, shares, options);
  await mkdir(folder);
  await clearExports(rig, shares);
  const home = await createTestHome({
    home: options.home ?? path.join(folder, "home"),
    config,
    enter: rig.enter,
    kept: options.kept ?? false,
    env: { RIG_PASSWORD: rig.password, ...options.env },
  });
  await using ends = new AsyncDisposableStack();
  const monitors: Monitor[] = [];
  const scene = createScene({ rig, home, folder, sharesRoot, config, shares, monitors, ends });
  let failed = true;
  try {
    await play(scene);
    failed = false;
  } catch (error) {
    const said = await Promise.all(monitors.map((monitor) => monitor.stderr()));
    throw new Error(
      `${error instanceof Error ? error.message : error}\nthe daemon said:\n${said.join("\n")}`,
      {
        cause: error,
      },
    );
  } finally {
    await restore(rig);
    await Promise.all(monitors.map((monitor) => monitor[Symbol.asyncDispose]()));
    await home.writeConfig(config).catch(() => undefined);
    const end = await home.cli(["unmount", "--force"]);
    await ends.disposeAsync();
    const left = await scene.servers();
    for (const pid of left) process.kill(pid, "SIGKILL");
    if (!failed) {
      assert.deepEqual(left, [], `left running after: ${end.stdout}${end.stderr}`);
      assert.deepEqual(await scene.mounts(), [], `left mounted after: ${end.stdout}${end.stderr}`);
      await assertPlainNames(rig, shares);
    }
  }
}

interface SceneParts extends Pick<Scene, "rig" | "home" | "folder" | "config"> {
  readonly sharesRoot: string;
  readonly shares: readonly SceneShare[];
  readonly monitors: Monitor[];
  readonly ends: AsyncDisposableStack;
}

function createScene({ rig, home, folder, sharesRoot, config, shares, monitors, ends }: SceneParts): Scene {
  const scene: Scene = {
    rig,
    home,
    folder,
    config,
    at: (share, ...parts) => path.join(sharesRoot, share, ...parts),
    exported: (share, ...parts) => path.join(rig.exportPath(serverName(share)), ...parts),
    async start(over, args = []) {
      const monitor = await home.startMonitor(args);
      monitors.push(monitor);
      if (over !== null) await Promise.all(shares.map(({ name }) => scene.untilOver(name, over)));
      return monitor;
    },
    untilOver: (share, route, deadlineMs = SETTLES_MS) =>
      home.untilShare(
        share,
        (each) => each.active_interface === route && each.mount_alive && each.last_error === null,
        deadlineMs,
      ),
    read: async (share, file) =>
      (await promisify(execFile)("timeout", ["-s", "KILL", TOUCHES_SECS, "cat", scene.at(share, file)]))
        .stdout,
    write: (share, file, text, append = false) => writeApart(scene.at(share, file), text, append),
    shell: async (share, script) => {
      const args = ["-s", "KILL", TOUCHES_SECS, "sh", "-c", `cd "$1" && ${script}`, "sh", scene.at(share)];
      await promisify(execFile)("timeout", args);
    },
    servers: (share) => serversOf(path.join(home.home, "mounts", ...(share === undefined ? [] : [share]))),
    async server(share) {
      const [pid, ...more] = await scene.servers(share);
      assert.ok(pid !== undefined && more.length === 0, `not one process for ${share}: ${[pid, ...more]}`);
      return pid;
    },
    mounts: async () =>
      (await mountTable()).filter(
        ({ path: point }) => point.startsWith(`${folder}/`) || point.startsWith(`${home.home}/`),
      ),
    async logged(message, share) {
      const lines = await home.log();
      return lines.filter(
        (line) => line["message"] === message && (share === undefined || line["share"] === share),
      );
    },
    untilLogged: (message, share) =>
      eventually(async () => (await scene.logged(message, share))[0], SETTLES_MS),
    defer: (end) => ends.defer(async () => void (await end())),
  };
  return scene;
}

function configText(
  rig: RootRig,
  sharesRoot: string,
  shares: readonly SceneShare[],
  { settings = {}, onRouteChange = "remount", sections: more = () => "" }: SceneOptions,
): string {
  const global = Object.entries({
    check_interval_secs: 1,
    on_route_change: `"${onRouteChange}"`,
    ...settings,
  });
  const sections = shares.map(({ name, of, thunderboltHost, fallbackHost, lines = [] }) => {
    const given = (key: string): boolean => lines.some((line) => line.startsWith(`${key} =`));
    return [
      "[[shares]]",
      `name = "${name}"`,
      ...(given("share_name") ? [] : [`share_name = "${serverName(of ?? name)}"`]),
      `thunderbolt_host = "${thunderboltHost ?? rig.tbHost}"`,
      `fallback_host = "${fallbackHost ?? rig.fallbackHost}"`,
      ...(given("username") ? [] : [`username = "${rig.username}"`]),
      ...(given("password") ? [] : ['password = "${RIG_PASSWORD}"']),
      ...lines,
    ].join("\n");
  });
  return [
    ["[global]", `shares_root = "${sharesRoot}"`, ...global.map(([key, value]) => `${key} = ${value}`)].join(
      "\n",
    ),
    ...sections,
    more(sharesRoot),
  ].join("\n\n");
}

async function restore(rig: RootRig): Promise<void> {
  await rig.restoreAll();
  await Promise.all([rig.startServerOn("tb"), rig.startServerOn("fallback")]);
}

/** The export holds what stories wrote, whose names are plain, and nothing that a mount made by itself. */
async function assertPlainNames(rig: RootRig, shares: readonly SceneShare[]): Promise<void> {
  for (const { name, of } of shares) {
    const names = await readdir(rig.exportPath(serverName(of ?? name)), { recursive: true });
    const strange = names.filter((each) => !/^[a-z0-9]+([-./][a-z0-9]+)*$/i.test(each));
    assert.deepEqual(strange, [], "the export holds what nobody wrote");
  }
}

async function clearExports(rig: RootRig, shares: readonly SceneShare[]): Promise<void> {
  for (const { name, of } of shares) {
    const folder = rig.exportPath(serverName(of ?? name));
    for (const each of await readdir(folder))
      await rm(path.join(folder, each), { recursive: true, force: true });
  }
}

/** All mounts of the machine; paths without blanks. */
export async function mountTable(): Promise<readonly MountLine[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [id = "", , , , point] = before.split(" ");
    const [, source = ""] = after.split(" ");
    return point === undefined ? [] : [{ id, path: point, source }];
  });
}

async function writeApart(file: string, text: string | Buffer, append: boolean): Promise<void> {
  const script = append ? 'cat >> "$1"' : 'cat > "$1"';
  const child = spawn("timeout", ["-s", "KILL", TOUCHES_SECS, "sh", "-c", script, "sh", file], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.stdin.on("error", () => {});
  child.stdin.end(text);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  if (code !== 0) throw new Error(`writing ${file} ended with ${code}`);
}

export function untilGone(pid: number): Promise<true> {
  return eventually(() => isGone(pid));
}

/** The children of a daemon that end with it, unlike the programs of mounts. */
export async function probersOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  const pids = text.split(" ").flatMap((each) => (each === "" ? [] : [Number(each)]));
  const commands = await Promise.all(pids.map(commandOf));
  return pids.filter((_, index) => !/^\S*\/mountaineer-fs /.test(commands[index] ?? ""));
}

/** Empty once it has ended. */
export async function commandOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
}
