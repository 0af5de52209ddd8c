// The loss table: programs that change files which were on the server before, every way in which what serves them ends,
// and whether each byte that was told to be written is on the server, or in a file set aside that the condition names.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { type PlainRig, startPlainRig } from "../../src/demo/plain-rig.ts";
import { jsonObject } from "../../src/runtime/json-object.ts";
import { rcloneFiles } from "../../src/shares/drivers/rclone-files.ts";
import { listRcloneMounts } from "../../src/shares/drivers/rclone-processes.ts";
import type { Monitor } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type LiveHome, liveHome, QUICK_SYNC, SETTLES_MS } from "./live-home.ts";

export const CHANGES = ["append", "blocks", "sqlite", "mixed", "shrink", "rewrite"] as const;
export const ENDS = ["cut", "rclone", "daemon", "both", "cut while no daemon runs"] as const;
export type Change = (typeof CHANGES)[number];
export type End = (typeof ENDS)[number];

export interface LossRow {
  readonly change: Change;
  readonly held: "open" | "closed";
}

export interface LossRound {
  readonly end: End;
  readonly rows: readonly LossRow[];
  readonly carried: boolean;
  /** From the first change to the end, ms. */
  readonly changedForMs: number;
}

export interface LossScene extends AsyncDisposable {
  readonly home: LiveHome;
  play(round: LossRound): Promise<void>;
  /** The ends of the daemon's log and rclone's. */
  said(): Promise<string>;
}

const WRITER = join(import.meta.dirname, "loss-writer.py");
const SETTLED_MS = 60_000;
const BASE_BYTES = 300_123;
const SHARE = "LOSS";

export async function lossScene(t: TestContext): Promise<LossScene> {
  const serverName = `loss-${process.pid.toString(36)}`;
  const rig = await startPlainRig({ shares: [serverName] });
  const home = await liveHome(t, {
    env: { RIG_PASSWORD: rig.password, MOUNTAINEER_LOG: "debug" },
    before: async () => rig[Symbol.asyncDispose](),
  });
  const writers: ChildProcess[] = [];
  await home.writeConfig(configText(home, rig, serverName, false));
  const exported = rig.exportPath(serverName);
  // By what never changes the server is known again.
  await writeFile(join(exported, "stays"), "as it is\n");
  const files = rcloneFiles(home.home, SHARE);
  let monitor: Monitor = await home.start(["--unmount-on-exit"]);
  let played = 0;
  return {
    home,
    async said() {
      const daemon = (await home.log())
        .filter(({ message }) => !["management request", "cycle"].includes(String(message)))
        .slice(-40)
        .map((line) => JSON.stringify(line));
      const rclone = (await readFile(files.log, "utf8").catch(() => "")).split("\n").slice(-20);
      return [...daemon, await monitor.stderr(), ...rclone].join("\n");
    },
    async [Symbol.asyncDispose]() {
      // Before the daemon is stopped: it would wait for what they hold open.
      for (const writer of writers) await ended(writer);
      await monitor.stop();
      // What a test that failed left is not to be waited for.
      await killRclones(home.home);
      await promisify(execFile)("fusermount3", ["-uz", join(home.home, "volumes", SHARE)]).catch(() => {});
    },
    async play({ end, rows, carried, changedForMs }) {
      assert.ok(!carried, "mounts are not carried yet");
      const names = rows.map(({ change, held }) => `${played++}-${change}-${held}`);
      for (const [index, name] of names.entries()) {
        if (rows[index]?.change === "sqlite") await makeDatabase(join(exported, name));
        else await writeFile(join(exported, name), baseOf(name));
      }
      await home.untilMounted(SHARE);
      // The mount shows a folder and its sizes as they were up to a second ago.
      for (const name of names) {
        await eventually(async () => {
          const shown = await sizeOf(join(home.folder, "Shares", SHARE, name));
          return shown !== null && shown === (await sizeOf(join(exported, name)));
        }, SETTLES_MS);
      }
      const told = await Promise.all(
        names.map(async (name, index) => {
          const { change, held } = rows[index] ?? assert.fail();
          const closesAfter = held === "closed" ? changedForMs / 1000 : 0;
          const path = join(home.folder, "Shares", SHARE, name);
          // An idle connection that the server had ended gives one error.
          for (let tries = 0; ; tries++) {
            const writer = startWriter(change, path, name, closesAfter);
            writers.push(writer.child);
            await eventually(() => writer.lines().length >= 2 || writer.child.exitCode !== null, SETTLES_MS);
            if (writer.lines().length > 0 || tries >= 10) return writer;
            await pause(300);
          }
        }),
      );
      const startedAt = performance.now();
      const closing = told.filter((_, index) => rows[index]?.held === "closed");
      // The moment is the point of this test.
      await pause(changedForMs);
      await eventually(() => closing.every(({ lines }) => lines().at(-1)?.["what"] === "closed"), SETTLES_MS);
      const ranMs = performance.now() - startedAt;
      monitor = await bringAbout(end, home, rig, monitor);
      // Cut off they end by themselves, else with the test's patience.
      if (end === "daemon") await pause(500);
      for (const { child } of told) await ended(child);
      await home.untilMounted(SHARE);
      await untilSettled(home);
      await Promise.all([rig.relays.tb.setMode("pass"), rig.relays.fallback.setMode("pass")]);
      const aside = await asideFiles(files.setAside);
      const { conditions } = await home.shareStatus(SHARE);
      const condition = conditions.find(({ code }) => code === "files_set_aside")?.title ?? "";
      const results: string[] = [];
      for (const [index, name] of names.entries()) {
        const found = aside.filter((path) => isOf(basename(path), name));
        const lines = told[index]?.lines() ?? [];
        const change = rows[index]?.change ?? assert.fail();
        const where =
          change === "sqlite"
            ? await whereDatabase(t, join(exported, name), found, lines)
            : await whereFile(join(exported, name), found, baseOf(name), lines, change === "shrink");
        assert.ok(where !== null, `${end}: ${name} is nowhere whole (${ranMs.toFixed(0)} ms)`);
        if (where !== "server") assert.ok(condition.includes(name), `${name} is not named: ${condition}`);
        results.push(`${name.replace(/^\d+-/, "")}: ${where}`);
      }
      t.diagnostic(`${end} after ${ranMs.toFixed(0)} ms: ${results.join(", ")}`);
      await rm(files.setAside, { recursive: true, force: true });
      await rm(files.setAsideNotes, { recursive: true, force: true });
    },
  };
}

function configText(home: LiveHome, rig: PlainRig, serverName: string, carried: boolean): string {
  const lines = [
    "[global]",
    `shares_root = "${join(home.folder, "Shares")}"`,
    "check_interval_secs = 1",
    "auto_failback = false",
    "lsof_recheck = false",
    "[sync]",
    QUICK_SYNC,
    "[[shares]]",
    `name = "${SHARE}"`,
    `share_name = "${serverName}"`,
    `carry = "${carried ? "on" : "off"}"`,
    `thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"`,
    `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
    `username = "${rig.username}"`,
    'password = "${RIG_PASSWORD}"',
  ];
  return `${lines.join("\n")}\n`;
}

async function bringAbout(end: End, home: LiveHome, rig: PlainRig, monitor: Monitor): Promise<Monitor> {
  const active = (await home.shareStatus(SHARE)).active_interface;
  const cut = () => rig.relays[active === "tb" ? "tb" : "fallback"].setMode("refuse");
  if (end === "cut") {
    await cut();
    await home.untilShare(
      SHARE,
      (share) => share.active_interface === (active === "tb" ? "fallback" : "tb") && share.mount_alive,
      SETTLED_MS,
    );
    return monitor;
  }
  if (end === "rclone") {
    await killRclones(home.home);
    return monitor;
  }
  await monitor.kill9();
  if (end === "both") await killRclones(home.home);
  if (end === "cut while no daemon runs") await cut();
  return home.start(["--unmount-on-exit"]);
}

/** Asked by a process of its own, as the mount may hang. null: there is none, or no answer. */
async function sizeOf(path: string): Promise<string | null> {
  return promisify(execFile)("timeout", ["-s", "KILL", "10", "stat", "-c", "%s", path]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}

async function killRclones(home: string): Promise<void> {
  for (const { identity, arguments: args } of await listRcloneMounts()) {
    if (args[1] === "mount" && args.some((each) => each.startsWith(`${home}/`)))
      process.kill(identity.pid, "SIGKILL");
  }
}

/** Everything is sent, and what was set aside is as whole as it gets. */
async function untilSettled(home: LiveHome): Promise<void> {
  const files = rcloneFiles(home.home, SHARE);
  await eventually(async () => {
    const share = await home.shareStatus(SHARE);
    if (!share.mount_alive) return false;
    for (const path of await filesBelow(join(files.cache, "vfsMeta"))) {
      if ((await readFile(path, "utf8").catch(() => "")).includes('"Dirty": true')) return false;
      if ((await readFile(path, "utf8").catch(() => "")).includes('"Dirty":true')) return false;
    }
    for (const path of await filesBelow(files.setAsideNotes)) {
      if ((await readFile(path, "utf8")).includes('"state":"incomplete"')) return false;
    }
    const { title = "" } = share.conditions.find(({ code }) => code === "files_set_aside") ?? {};
    return (
      !title.includes("still missing") && (await filesBelow(files.setAside)).length > 0 === (title !== "")
    );
  }, SETTLED_MS);
}

interface Writer {
  readonly child: ChildProcess;
  lines(): readonly Readonly<Record<string, unknown>>[];
}

function startWriter(change: Change, path: string, seed: string, closesAfterSecs: number): Writer {
  const child = spawn("python3", [WRITER, change, path, seed, String(closesAfterSecs)], {
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  return {
    child,
    lines: () =>
      said
        .slice(0, said.lastIndexOf("\n") + 1)
        .split("\n")
        .map((line) => jsonObject(line) ?? {})
        .filter(({ what }) => what !== undefined),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** As loss-writer.py makes it. */
function contentOf(name: string, size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let length = 0; length < size; length += 64)
    pieces.push(createHash("sha512").update(`${name} ${length}`).digest());
  return Buffer.from(
    Buffer.concat(pieces)
      .subarray(0, size)
      .map((byte) => byte || 1),
  );
}

function baseOf(name: string): Buffer {
  return contentOf(`base of ${name}`, BASE_BYTES);
}

/** Where the file is as it was told to be; what was tried last may be done in part. null: nowhere. */
async function whereFile(
  server: string,
  aside: readonly string[],
  base: Buffer,
  lines: readonly Readonly<Record<string, unknown>>[],
  mayHaveTail: boolean,
): Promise<string | null> {
  let expected = base;
  let open: Readonly<Record<string, unknown>> | null = null;
  for (const line of lines) {
    if (line["what"] === "try") open = line;
    if (line["what"] === "ok" && open !== null) {
      expected = applied(expected, open);
      open = null;
    }
  }
  const candidates = [server, ...aside];
  const misses: string[] = [];
  for (const path of candidates) {
    const found = await readFile(path);
    const miss = missOf(
      mayHaveTail && path === server ? withoutTail(found, expected) : found,
      expected,
      open,
    );
    if (miss === null) return path === server ? "server" : "set aside";
    misses.push(`${path}: ${miss}`);
  }
  throw new Error(misses.join("; "));
}

/**
 * rclone 1.60 by itself, without any cut or kill, leaves up to two pieces of 32 KiB of the old content behind the new end
 * of a file that was made shorter and not read whole.
 */
function withoutTail(found: Buffer, expected: Buffer): Buffer {
  const pieceBytes = 32_768;
  const longest = (Math.ceil(expected.length / pieceBytes) + 1) * pieceBytes;
  return found.length > expected.length &&
    found.length <= longest &&
    (found.length % pieceBytes === 0 || found.length === BASE_BYTES)
    ? found.subarray(0, expected.length)
    : found;
}

function applied(before: Buffer, change: Readonly<Record<string, unknown>>): Buffer {
  const { truncate, at, size, name } = change;
  if (typeof truncate === "number") {
    const after = Buffer.alloc(truncate);
    before.copy(after, 0, 0, Math.min(before.length, truncate));
    return after;
  }
  assert.ok(typeof at === "number" && typeof size === "number" && typeof name === "string");
  const after = Buffer.alloc(Math.max(before.length, at + size));
  before.copy(after);
  contentOf(name, size).copy(after, at);
  return after;
}

/** null: it is as expected, but for what the open change may have done. */
function missOf(
  found: Buffer,
  expected: Buffer,
  open: Readonly<Record<string, unknown>> | null,
): string | null {
  const after = open === null ? expected : applied(expected, open);
  if (found.equals(expected) || found.equals(after)) return null;
  const sizes = [Math.min(expected.length, after.length), Math.max(expected.length, after.length)] as const;
  if (found.length < sizes[0] || found.length > sizes[1])
    return `${found.length} bytes, not ${sizes.join(" to ")}`;
  for (let at = 0; at < found.length; at++) {
    if (found[at] === expected[at] || found[at] === after[at]) continue;
    // Nothing but a piece of a write that was never answered.
    return `byte ${at} of ${found.length} is ${found[at]}, not ${expected[at]}`;
  }
  return null;
}

const MAKE =
  'import sqlite3,sys\ndb=sqlite3.connect(sys.argv[1])\ndb.execute("CREATE TABLE told (row INTEGER, text TEXT)")\ndb.execute("CREATE TABLE filler (text TEXT)")\ndb.executemany("INSERT INTO filler VALUES (?)", [("x"*500,) for _ in range(400)])\ndb.commit()\n';
const ROWS =
  'import sqlite3,sys\ndb=sqlite3.connect(sys.argv[1])\nassert db.execute("PRAGMA integrity_check").fetchone()[0]=="ok"\nassert db.execute("SELECT count(*) FROM filler").fetchone()[0]==400\nprint(db.execute("SELECT count(*) FROM told").fetchone()[0])\n';

async function makeDatabase(path: string): Promise<void> {
  await promisify(execFile)("python3", ["-c", MAKE, path]);
}

/** With whichever journal is beside it; several may have been left. */
async function whereDatabase(
  t: TestContext,
  server: string,
  aside: readonly string[],
  lines: readonly Readonly<Record<string, unknown>>[],
): Promise<string | null> {
  const told = lines.filter(({ what }) => what === "ok").length;
  const databases = [server, ...aside.filter((path) => !basename(path).includes("-journal"))];
  const journals = [
    `${server}-journal`,
    ...aside.filter((path) => basename(path).includes("-journal")),
    null,
  ];
  const misses: string[] = [];
  for (const database of databases) {
    for (const journal of journals) {
      const folder = join(t.name.length > 0 ? databaseFolder(server) : "", String(misses.length));
      await mkdir(folder, { recursive: true });
      const copy = join(folder, "db");
      await copyFile(database, copy);
      const there = journal === null || (await copied(journal, `${copy}-journal`));
      if (!there) continue;
      const asked = await promisify(execFile)("python3", ["-c", ROWS, copy]).catch((error: unknown) => error);
      const rows = asked instanceof Error ? -1 : Number(Object(asked).stdout);
      await rm(folder, { recursive: true });
      if (rows >= told) return database === server ? "server" : "set aside";
      const why = asked instanceof Error ? asked.message.split("\n").slice(-4).join(" ") : "";
      misses.push(`${database} with ${journal}: ${rows} of ${told} rows ${why}`);
    }
  }
  throw new Error(misses.join("; "));
}

/** Outside of the share. */
function databaseFolder(server: string): string {
  return `${join(server, "../..")}/checked-${basename(server)}`;
}

async function copied(from: string, to: string): Promise<boolean> {
  return copyFile(from, to).then(
    () => true,
    () => false,
  );
}

function isOf(found: string, name: string): boolean {
  return found === name || found.startsWith(`${name} `) || found.startsWith(`${name}-journal`);
}

function asideFiles(folder: string): Promise<readonly string[]> {
  return filesBelow(folder);
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
