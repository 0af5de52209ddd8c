// The engine's renames and removals on a real SMB server: of files that programs read, and where the answers are lost.
// Skipped where `npm run engine` has not built it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { access, appendFile, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { resetSocket } from "../../src/runtime/reset-socket.ts";
import { pick, randomOf } from "../lab/random.ts";
import { limits, mounted, PLAIN_NAME } from "../shares/drivers/driver-contract.ts";
import { noSkip, startBench } from "../shares/drivers/rclone/bench.ts";
import { eventually } from "../support/eventually.ts";

const PROGRAM = join(import.meta.dirname, "../../rclone/rclone");
const skip =
  noSkip.skip ||
  (await access(PROGRAM).then(
    () => false,
    () => "npm run engine has not built it",
  ));
const RENAMED = 10;
const SET_INFO = 0x11;

/** A cable on which each answer to a rename may get lost, with its connection. */
async function startForgetfulCable(port: number, isLost: () => boolean) {
  let lost = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const renames = new Set<bigint>();
    const end = () => {
      for (const socket of [near, far]) resetSocket(socket);
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", end).on("close", end);
    }
    forFrames(near, (frame) => {
      const isRename = frame.readUInt16LE(16) === SET_INFO && frame[4 + 64 + 3] === RENAMED;
      if (isRename && isLost()) renames.add(frame.readBigUInt64LE(28));
      far.write(frame);
    });
    forFrames(far, (frame) => {
      if (!renames.has(frame.readBigUInt64LE(28))) return void near.write(frame);
      lost++;
      end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    lost: () => lost,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function forFrames(socket: Socket, act: (frame: Buffer) => void): void {
  let held = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    for (;;) {
      const length = held.length < 4 ? Number.POSITIVE_INFINITY : 4 + held.readUInt32BE(0);
      if (held.length < length) return;
      act(held.subarray(0, length));
      held = held.subarray(length);
    }
  });
}

test("A11 written, renamed and removed files stay so where answers to renames are lost", {
  skip,
  timeout: 300_000,
}, async (t) => {
  const random = randomOf(t);
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  let isOn = true;
  await using cable = await startForgetfulCable(bench.rig.serverPort, () => isOn && random() < 1 / 3);
  const outcome = await bench.driver.mount(share, "tb", limits(120_000), {
    port: cable.port,
    patienceMs: 20_000,
  });
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);

  const failures: string[] = [];
  const model = new Map<string, string>();
  const files = async (): Promise<void> => {
    await mkdir(join(share.mountPath, "files"));
    const at = (name: string): string => join(share.mountPath, "files", name);
    const names = ["a", "b", "c", "d"];
    for (let round = 0; round < 120; round++) {
      const [one = "", other = ""] = [pick(random, names), pick(random, names)];
      const before = model.get(one);
      const what = pick(random, ["write", "append", "move", "move", "remove", "save"]);
      try {
        if (what === "write") {
          await writeFile(at(one), `written ${round}`);
          model.set(one, `written ${round}`);
        } else if (what === "save") {
          await writeFile(at("temporary"), `saved ${round}`);
          await rename(at("temporary"), at(one));
          model.set(one, `saved ${round}`);
        } else if (before === undefined) continue;
        else if (what === "append") {
          await appendFile(at(one), `, and ${round}`);
          model.set(one, `${before}, and ${round}`);
        } else if (what === "remove") {
          await rm(at(one));
          model.delete(one);
        } else if (one !== other) {
          await rename(at(one), at(other));
          model.delete(one);
          model.set(other, before);
        }
      } catch (error) {
        failures.push(`${what} ${one} ${other} ${round}: ${error}`);
      }
      await pause(random() < 1 / 4 ? 1_500 : 100);
    }
  };
  const [, rows] = await Promise.all([files(), addRows(join(share.mountPath, "rows.db"), 60)]);
  isOn = false;
  t.diagnostic(`${cable.lost()} answers lost`);
  await eventually(async () => (await bench.driver.unsent(share)).length === 0, 90_000);
  const found: Record<string, string> = {};
  for (const name of (await readdir(join(disk, "files"))).sort())
    found[name] = await readFile(join(disk, "files", name), "utf8");
  assert.deepEqual(failures, []);
  assert.deepEqual(found, Object.fromEntries([...model].sort()));
  assert.ok(cable.lost() > 5, "hardly an answer was lost");
  assert.deepEqual((await readdir(disk)).sort(), ["files", "rows.db"]);
  assert.equal(rows, "60");
  assert.equal(await addRows(join(disk, "rows.db"), 0), rows);
});

const MIB = 1024 * 1024;
const READ_MIB = 24;
/** As long as an SMB listing is kept, and a saved file waits. */
const SETTLED_MS = 2_500;

/** What is done to a file that a program reads, and which files there are then. */
const DURING_A_READ: Readonly<Record<string, (at: (name: string) => string) => Promise<readonly string[]>>> =
  {
    async "replaced by a new file"(at) {
      await writeFile(at("new"), "new");
      await rename(at("new"), at("file"));
      return ["file", "other"];
    },
    async "replaced by the server's"(at) {
      await rename(at("other"), at("file"));
      return ["file"];
    },
    async renamed(at) {
      await rename(at("file"), at("elsewhere"));
      return ["elsewhere", "other"];
    },
    async removed(at) {
      await rm(at("file"));
      return ["other"];
    },
  };

test("A13 a program reads a file to its end while it is renamed, replaced or removed", {
  skip,
  timeout: 300_000,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  await mounted(bench.driver, share, "tb");
  for (const [what, change] of Object.entries(DURING_A_READ)) {
    await mkdir(join(disk, what));
    await writeFile(join(disk, what, "file"), Buffer.alloc(READ_MIB * MIB, "a"));
    await writeFile(join(disk, what, "other"), "other");
    // The mount keeps a listing for a second.
    await eventually(() => access(join(share.mountPath, what, "file")).then(() => true));
    const expected = await readWhile(join(share.mountPath, what), change);
    await eventually(
      async () => assert.deepEqual((await readdir(join(disk, what))).sort(), expected) ?? true,
    );
  }
});

async function readWhile(
  folder: string,
  change: (at: (name: string) => string) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  await using file = await open(join(folder, "file"));
  const bytes = Buffer.alloc(1_000);
  const readAt = async (mib: number): Promise<void> => {
    await file.read(bytes.fill(0), 0, bytes.length, mib * MIB);
    assert.ok(
      bytes.every((byte) => byte === 0x61),
      `other bytes at ${mib} MiB: ${bytes.subarray(0, 20)}`,
    );
  };
  await readAt(0);
  const expected = await change((name) => join(folder, name));
  await pause(SETTLED_MS);
  for (const mib of [READ_MIB - 1, 0, 12, 3, 17]) await readAt(mib);
  return expected;
}

/** In a program of its own, because SQLite would block the cable. */
const ROWS = `
const { DatabaseSync } = require("node:sqlite");
const database = new DatabaseSync(process.argv[1]);
database.exec("CREATE TABLE IF NOT EXISTS rows (text TEXT NOT NULL)");
const insert = database.prepare("INSERT INTO rows (text) VALUES (?)");
(async () => {
  for (let row = 0; row < Number(process.argv[2]); row++) {
    insert.run("row " + row + "x".repeat(500));
    await new Promise((resolve) => setTimeout(resolve, 300 + (row % 7) * 200));
  }
  process.stdout.write(String(database.prepare("SELECT count(*) AS count FROM rows").get().count));
})();
`;

async function addRows(path: string, count: number): Promise<string> {
  const ended = await promisify(execFile)(process.execPath, ["-e", ROWS, path, String(count)]);
  return ended.stdout;
}
