// The engine's own promises on a real SMB server. Skipped where `npm run engine` has not built it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, type FileHandle, mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { startSimulatedCable } from "../../src/demo/stage/simulated-cable.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { knownBlock, writeKnownFile, wrongBytes } from "../lab/programs/known-bytes.ts";
import { limits, mounted, PLAIN_NAME } from "../shares/drivers/driver-contract.ts";
import { noSkip, server, startBench } from "../shares/drivers/rclone/bench.ts";
import { eventually } from "../support/eventually.ts";

const PROGRAM = join(import.meta.dirname, "../../rclone/rclone");
const skip =
  noSkip.skip ||
  (await access(PROGRAM).then(
    () => false,
    () => "npm run engine has not built it",
  ));
/** 60 s by hand, with the stock program in the engine's place for comparison. */
const RESETS_FOR_MS = Number(process.env["MOUNTAINEER_RESETS_MS"] ?? 10_000);
const RESET_EACH_MS = 2_000;
const FOLDERS = 40;
const FILES = 20;
const MARK = "large";
const BLOCKS = 16_384;
const BLOCKS_OF_A_READ = 32;

test("A10 a server that resets all connections every two seconds fails no program's open, read or write", {
  skip,
  timeout: RESETS_FOR_MS + 120_000,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  for (let folder = 0; folder < FOLDERS; folder++) {
    await mkdir(join(disk, `folder ${folder}`));
    for (let file = 0; file < FILES; file++)
      await writeFile(join(disk, `folder ${folder}`, `${file}.txt`), `${folder} ${file}`);
  }
  await mkdir(join(disk, "written"));
  await writeKnownFile(join(disk, "large.bin"), BLOCKS, MARK);
  const target = { targetHost: "127.0.0.1", targetPort: bench.rig.serverPort };
  await using relay = await startSimulatedCable({ host: "127.0.0.1", ...target });
  const outcome = await bench.driver.mount(share, "tb", limits(), { port: relay.port, patienceMs: 20_000 });
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);

  const at = (...names: string[]): string => join(share.mountPath, ...names);
  const untilMs = performance.now() + RESETS_FOR_MS;
  const failures: string[] = [];
  const counts: Record<string, string> = {};
  const again = async (what: string, pauseMs: number, act: (round: number) => Promise<void>) => {
    let [round, failed] = [0, 0];
    for (; performance.now() < untilMs; round++) {
      try {
        await act(round);
      } catch (error) {
        failed++;
        failures.push(`${what} ${round}: ${String(error)}`);
      }
      await pause(pauseMs);
    }
    counts[what] = `${failed} of ${round}`;
  };
  const resets = async (): Promise<void> => {
    for (; performance.now() < untilMs; ) {
      await pause(RESET_EACH_MS);
      await relay.leadTo(target.targetHost, target.targetPort);
    }
  };
  await using large = await open(at("large.bin"));
  const sent: string[] = [];
  await Promise.all([
    resets(),
    again("lists", 100, async (round) => {
      assert.equal((await readdir(at(`folder ${round % FOLDERS}`))).length, FILES);
    }),
    again("opens", 100, async (round) => {
      const [folder, file] = [(round * 7) % FOLDERS, round % FILES];
      assert.equal(await readFile(at(`folder ${folder}`, `${file}.txt`), "utf8"), `${folder} ${file}`);
    }),
    again("reads", 10, async (round) => {
      const first = (round * 7_919) % (BLOCKS - BLOCKS_OF_A_READ);
      const bytes = Buffer.alloc(BLOCKS_OF_A_READ * knownBlock(0, MARK).length);
      await large.read(bytes, 0, bytes.length, first * knownBlock(0, MARK).length);
      assert.equal(wrongBytes(bytes, first, MARK), null);
    }),
    again("writes", 400, async (round) => {
      await writeFile(at("written", `${round}.txt`), `written ${round}`);
      sent.push(`${round}.txt`);
    }),
  ]);
  t.diagnostic(JSON.stringify(counts));
  await eventually(async () => {
    for (const name of sent)
      assert.equal(await readFile(join(disk, "written", name), "utf8"), `written ${parseInt(name, 10)}`);
    return true;
  }, 60_000);
  assert.deepEqual(failures, []);
});

/** Existed on the server before. */
const BEFORE = "what was there before\n".repeat(20_000);

/** What a program does to an open file, and what the server must have in the end. Nothing is closed before the kill. */
const CHANGES: Readonly<Record<string, (path: string) => Promise<readonly [FileHandle, string]>>> = {
  async appended(path) {
    const file = await open(path, "a");
    for (const line of ["one\n", "two\n", "three\n"]) await file.write(line);
    return [file, `${BEFORE}one\ntwo\nthree\n`];
  },
  async "changed in place"(path) {
    const file = await open(path, "r+");
    const bytes = Buffer.from(BEFORE);
    for (const at of [300_000, 1_000, 70_000]) {
      await file.write("changed", at);
      bytes.write("changed", at);
    }
    return [file, bytes.toString()];
  },
  async "read and changed in place"(path) {
    const file = await open(path, "r+");
    await file.write("first", 0);
    await file.read(Buffer.alloc(100_000), 0, 100_000, 100_000);
    await file.write("second", 150_000);
    const bytes = Buffer.from(BEFORE);
    bytes.write("first", 0);
    bytes.write("second", 150_000);
    return [file, bytes.toString()];
  },
  async "written over from its start"(path) {
    const file = await open(path, "r+");
    for (let at = 0; at < BEFORE.length; at += 100_000)
      await file.write("x".repeat(Math.min(100_000, BEFORE.length - at)), at);
    return [file, "x".repeat(BEFORE.length)];
  },
  async emptied(path) {
    const file = await open(path, "w");
    return [file, ""];
  },
  async "emptied and written anew"(path) {
    const file = await open(path, "w");
    await file.write("new ");
    await file.write("content");
    return [file, "new content"];
  },
  async "made shorter"(path) {
    const file = await open(path, "r+");
    await file.write("changed", 100);
    await file.truncate(200_001);
    const bytes = Buffer.from(BEFORE.slice(0, 200_001));
    bytes.write("changed", 100);
    return [file, bytes.toString()];
  },
  async "made shorter and appended to"(path) {
    const file = await open(path, "r+");
    await file.truncate(1_000);
    await file.write("more", 1_000);
    await file.write("and more", 1_004);
    return [file, `${BEFORE.slice(0, 1_000)}moreand more`];
  },
};

test("A11 acknowledged writes survive a kill -9 of the engine at once, in place or not, and nothing is set aside", {
  skip,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  for (const name of Object.keys(CHANGES)) await writeFile(join(disk, name), BEFORE);
  await addRows(join(disk, "rows.db"), 200);
  const mount = await mounted(bench.driver, share, "tb");
  const expected: Record<string, string> = {};
  const handles: FileHandle[] = [];
  for (const [name, change] of Object.entries(CHANGES)) {
    const [handle, content] = await change(join(share.mountPath, name));
    handles.push(handle);
    expected[name] = content;
  }
  const rows = await addRows(join(share.mountPath, "rows.db"), 20);
  process.kill(await server(bench, share), "SIGKILL");
  for (const handle of handles) await handle.close().catch(() => {});
  assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
  await mounted(bench.driver, share, "tb");
  await eventually(async () => (await bench.driver.unsent(share)).length === 0);
  const found: Record<string, string> = {};
  for (const name of Object.keys(CHANGES)) found[name] = await readFile(join(disk, name), "utf8");
  // Of a long text only the start is shown when it fails.
  const told = (texts: Record<string, string>) =>
    Object.entries(texts).map(([name, text]) => `${name}: ${sha256Of(Buffer.from(text))}`);
  assert.deepEqual(told(found), told(expected));
  assert.equal(await addRows(join(disk, "rows.db"), 0), rows);
  assert.deepEqual(await bench.driver.setAside?.(share), []);
});

/** In a program of its own: the cable of the rig is in this one, and SQLite would block it. */
const ROWS = `
const { DatabaseSync } = require("node:sqlite");
const database = new DatabaseSync(process.argv[1]);
database.exec("CREATE TABLE IF NOT EXISTS rows (text TEXT NOT NULL)");
const insert = database.prepare("INSERT INTO rows (text) VALUES (?)");
for (let row = 0; row < Number(process.argv[2]); row++) insert.run("row " + row + "x".repeat(500));
process.stdout.write(String(database.prepare("SELECT count(*) AS count FROM rows").get().count));
`;

/** Adds rows, each in a commit of its own; resolves with how many there are. */
async function addRows(path: string, count: number): Promise<string> {
  const ended = await promisify(execFile)(process.execPath, ["-e", ROWS, path, String(count)]);
  return ended.stdout;
}
