// A NAS that writes down each logon, a home with one share on it, and a count of the logons that it refused.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { endMounts, type LiveHome, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import type { Monitor } from "../support/daemon.ts";

const run = promisify(execFile);

export interface LogonsScene extends AsyncDisposable {
  readonly home: LiveHome;
  readonly nas: PlainRig;
  readonly names: readonly string[];
  at(name: string, ...parts: readonly string[]): string;
  start(): Promise<Monitor>;
  /** In a process of its own, as the mount may hang; null: it failed. */
  read(name: string, file: string): Promise<string | null>;
  /** `mountaineer secret set nas`, with that value. */
  secret(value: string): Promise<void>;
  /** Logons that the NAS has refused, as it says itself. */
  refused(): Promise<number>;
  accepted(): Promise<number>;
  until(
    name: string,
    what: string,
    holds: (share: ShareStatus) => boolean,
    ms?: number,
  ): Promise<ShareStatus>;
}

/** `shares`: all with one login. `lines`: more of each share. */
export async function logonsScene(
  t: TestContext,
  shares = 1,
  lines: readonly string[] = [],
): Promise<LogonsScene> {
  const own = process.pid.toString(36);
  const names = Array.from({ length: shares }, (_, index) => (index === 0 ? "CORE" : `MORE${index}`));
  const ends = new AsyncDisposableStack();
  const nas = ends.use(
    await startPlainRig({
      shares: names.map((name) => `${name}-${own}`),
      settings: ["log level = 0 auth_audit:3", "max log size = 0"],
    }),
  );
  for (const name of names) await writeFile(join(nas.exportPath(`${name}-${own}`), "kept.txt"), `of ${name}`);
  const home = await liveHome(t, { env: { MOUNTAINEER_LOG: "debug" }, before: () => ends.disposeAsync() });
  await home.writeConfig(
    [
      "[global]",
      `shares_root = "${join(home.folder, "Shares")}"`,
      "[sync]",
      QUICK_SYNC,
      ...names.flatMap((name) => [
        "[[shares]]",
        `name = "${name}"`,
        `share_name = "${name}-${own}"`,
        `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`,
        `fallback_host = "${nas.fallbackHost}:${nas.fallbackPort}"`,
        `username = "${nas.username}"`,
        'password = "secret:nas"',
        ...lines,
      ]),
      "",
    ].join("\n"),
  );
  const monitors: Monitor[] = [];
  const count = async (of: RegExp): Promise<number> =>
    (await nas.log()).split("\n").filter((line) => line.includes("Auth: [SMB2") && of.test(line)).length;

  return {
    home,
    nas,
    names,
    at: (name, ...parts) => join(home.folder, "Shares", name, ...parts),
    async read(name, file) {
      const options = { cwd: "/", timeout: 20_000, killSignal: "SIGKILL" } as const;
      const ended = await run("cat", [join(home.folder, "Shares", name, file)], options).catch(() => null);
      return ended?.stdout ?? null;
    },
    async start() {
      const started = await home.start();
      monitors.push(started);
      return started;
    },
    async secret(value) {
      const file = join(home.folder, "typed");
      await writeFile(file, `${value}\n`, { mode: 0o600 });
      const command = `exec '${join(import.meta.dirname, "../../bin/mountaineer")}' secret set nas --in file < '${file}'`;
      await run("sh", ["-c", command], { cwd: "/", env: { ...process.env, MOUNTAINEER_HOME: home.home } });
    },
    refused: () => count(/status \[NT_STATUS_(?!OK\])/),
    accepted: () => count(/status \[NT_STATUS_OK\]/),
    until: (name, what, holds, ms) => untilShareOf(home, name, what, holds, ms),
    [Symbol.asyncDispose]: () => endMounts(home, names, monitors),
  };
}

export function isServed({ mount_state, mount_alive, moves }: ShareStatus): boolean {
  return mount_state === "mounted" && mount_alive && moves !== undefined;
}
