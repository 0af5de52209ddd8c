// rclone's log: what it tells of mounts and uploads that fail, and what is kept of it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test, { describe, it, type TestContext } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { beginLog, createProgramLogs, cutLog } from "../../../../src/shares/drivers/program-logs.ts";
import { rcloneFiles, rcloneFilesIn } from "../../../../src/shares/drivers/rclone/files.ts";
import {
  hasRouteTrouble,
  readLogFailure,
  readRefusedUpload,
  readStuckFiles,
} from "../../../../src/shares/drivers/rclone/log.ts";
import { createRefusedUploads } from "../../../../src/shares/drivers/rclone/refused.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const at = (text: string): string => `2026/01/02 03:04:05 ${text}\n`;

describe("a log of rclone", () => {
  const CONNECT = "ERROR : IO error: couldn't connect SMB: ";
  /** What comes before the text that is told. */
  const table: readonly (readonly [before: string, reason: string, text: string])[] = [
    [
      `${CONNECT}response error: `,
      "wrong_credentials",
      "The attempted logon is invalid. This is either due to a bad username or authentication information.",
    ],
    [
      "ERROR : IO error: couldn't initialize SMB: response error: ",
      "no_such_share",
      "{Network Name Not Found} The specified share name cannot be found on the remote server.",
    ],
    [CONNECT, "refused", "dial tcp 127.0.0.2:1: connect: connection refused"],
    [CONNECT, "unreachable", "dial tcp 10.0.0.1:445: connect: no route to host"],
    [CONNECT, "unreachable", "dial tcp: lookup nas.invalid: no such host"],
    [`${CONNECT}connection error: `, "timed_out", "read tcp 127.0.0.1:5->127.0.0.2:6: i/o timeout"],
    [`${CONNECT}response error: `, "wrong_credentials", "The user account has been automatically locked"],
    [
      "ERROR : ",
      "permission_denied",
      "/: Dir.Stat error: response error: {Access Denied} A process has requested access to an object",
    ],
    ["Fatal error: ", "other", "failed to mount FUSE fs: something new"],
  ];
  for (const [before, reason, text] of table) {
    it(`reports ${reason}: ${text.slice(0, 60)}`, () => {
      assert.deepEqual(readLogFailure(at(`${before}${text}`)), { reason, text });
    });
  }

  it("without a failure reports nothing", () => {
    assert.equal(readLogFailure(""), null);
    assert.equal(readLogFailure(at("NOTICE: the poll-interval is not supported")), null);
  });

  it("with a known reason before an unknown one reports the known one; of two known ones the newer", () => {
    const log = at("ERROR : a: connection refused") + at("ERROR : b: i/o timeout") + at("ERROR : gibberish");
    assert.equal(readLogFailure(log)?.reason, "timed_out");
  });
});

const MEGABYTE = 1024 * 1024;
const OLD = "2026/11/20 08:00:00 ERROR : IO error: read: i/o timeout\n";
const NEWEST = "2026/11/20 09:00:00 ERROR : IO error: couldn't connect SMB: connection refused\n";

function longLog(bytes: number): string {
  return OLD.repeat(Math.ceil(bytes / OLD.length)) + NEWEST;
}

async function logOf(t: TestContext, share: string): Promise<{ stateFolder: string; log: string }> {
  const stateFolder = await temporaryFolder(t);
  const { log } = rcloneFiles(stateFolder, share);
  await mkdir(dirname(log), { recursive: true });
  return { stateFolder, log };
}

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;

test("a log keeps its newest lines whole, and yields the same reason", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, longLog(3 * MEGABYTE));
  await cutLog(log, 256 * 1024);
  const left = await readFile(log, "utf8");
  assert.ok(left.length > 255 * 1024 && left.length <= 256 * 1024, `${left.length}`);
  assert.ok(left.startsWith(OLD) && left.endsWith(OLD + NEWEST));
  assert.equal(readLogFailure(left)?.reason, "refused");
});

test("the logs of the last three crashes outlive later mounts; other logs start over", async (t) => {
  const { log } = await logOf(t, "CORE");
  await beginLog(log);
  assert.equal(await sizeOf(log), 0);
  for (const crash of [1, 2, 3, 4]) {
    await appendFile(
      log,
      `${OLD.repeat(crash === 4 ? 20_000 : 1)}panic: number ${crash}\n\ngoroutine 1 [running]:\n`,
    );
    await beginLog(log);
    await appendFile(log, NEWEST);
    await beginLog(log);
    assert.equal(await sizeOf(log), 0);
  }
  const kept = await Promise.all([1, 2, 3].map((number) => readFile(`${log}.${number}`, "utf8")));
  assert.deepEqual(
    kept.map((text) => /panic: number (\d)/.exec(text)?.[1]),
    ["4", "3", "2"],
  );
  assert.ok((kept[0]?.length ?? 0) <= 256 * 1024);
  await assert.rejects(stat(`${log}.4`), { code: "ENOENT" });
});

test("a log without line ends is also cut", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, "x".repeat(2 * MEGABYTE));
  await cutLog(log, 256 * 1024);
  assert.equal(await sizeOf(log), 256 * 1024);
});

test("text appended while a log is repeatedly cut stays complete, in order and in whole lines", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, longLog(2 * MEGABYTE));
  const enough = `${log}.enough`;
  const program = `const { existsSync, openSync, writeSync } = require("node:fs");
    const log = openSync(process.argv[1], "a");
    let [n, after] = [0, 0];
    while (after < 3 && n < 2_000_000) { if (existsSync(process.argv[2])) after++; for (let k = 0; k < 20; k++) writeSync(log, "line " + n++ + " " + "x".repeat(200) + "\\n");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); }
    writeSync(log, "the last of " + n + "\\n");`;
  const writer = spawn(process.execPath, ["-e", program, log, enough], { stdio: "ignore" });
  const ended = once(writer, "exit");
  let cuts = 0;
  while (writer.exitCode === null && cuts < 10) {
    if ((await sizeOf(log)) > MEGABYTE / 4) {
      await cutLog(log, MEGABYTE / 16);
      cuts += 1;
    }
  }
  await writeFile(enough, "");
  await ended;
  const text = await readFile(log, "utf8");
  const lines = text.trimEnd().split("\n");
  assert.equal(cuts, 10);
  const written = Number(/^the last of (\d+)$/.exec(lines.at(-1) ?? "")?.[1]);
  assert.ok(written > 0, "its last line is there");
  const numbers = lines.slice(0, -1).map((line) => Number(/^line (\d+) x{200}$/.exec(line)?.[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0)));
  assert.equal(numbers.at(-1), written - 1);
  const lost = written - numbers.length - (numbers[0] ?? 0);
  t.diagnostic(`${cuts} cuts, ${lost} of ${written} lines fell between the last look and the cut`);
});

test("all logs of a home are checked at most every 10 s, and small ones are not touched", async (t) => {
  const { stateFolder, log } = await logOf(t, "CORE");
  const other = rcloneFiles(stateFolder, "removed from the configuration").log;
  const small = rcloneFiles(stateFolder, "SMALL").log;
  for (const path of [other, small]) await mkdir(dirname(path), { recursive: true });
  await mkdir(rcloneFiles(stateFolder, "NEVER MOUNTED").folder);
  for (const path of [log, other]) await writeFile(path, longLog(2 * MEGABYTE));
  await writeFile(small, longLog(900 * 1024));
  const smallSize = await sizeOf(small);
  const clock = createManualClock();
  const logs = createProgramLogs({ clock, logger: noopLogger, stateFolder });
  logs.trigger();
  await eventually(async () => (await sizeOf(log)) < MEGABYTE && (await sizeOf(other)) < MEGABYTE);
  assert.equal(await sizeOf(small), smallSize);
  await appendFile(log, longLog(2 * MEGABYTE));
  logs.trigger();
  await clock.advance(9_999);
  logs.trigger();
  assert.ok((await sizeOf(log)) > 2 * MEGABYTE);
  await clock.advance(1);
  logs.trigger();
  await eventually(async () => (await sizeOf(log)) < MEGABYTE);
});

test("a home that had no mounts when first checked is checked again", async (t) => {
  const clock = createManualClock();
  const stateFolder = await temporaryFolder(t);
  const logs = createProgramLogs({ clock, logger: noopLogger, stateFolder });
  logs.trigger();
  await mkdir(join(stateFolder, "mounts", "CORE"), { recursive: true });
  const { log } = rcloneFiles(stateFolder, "CORE");
  await writeFile(log, longLog(2 * MEGABYTE));
  await eventually(async () => {
    await clock.advance(10_000);
    logs.trigger();
    return (await sizeOf(log)) < MEGABYTE;
  });
});

const TRANSFER = "vfs cache: failed to transfer file from cache to remote: ";
const line = (path: string, why: string, tries = 1): string =>
  `2026/11/20 23:24:08 ERROR : ${path}: vfs cache: failed to upload try #${tries}, will retry in 2s: ${TRANSFER}${why}`;

for (const [path, why, reason] of [
  ["new: x", "failed to open: open new： x: permission denied", "permission denied"],
  ["d/old", "failed to open: open d\\old: permission denied", "permission denied"],
  [
    "big",
    "Update ReadFrom failed: write big: response error: An operation failed because the disk was full.",
    "An operation failed because the disk was full.",
  ],
  [
    "pw",
    "failed to make parent directories: couldn't connect SMB: response error: The attempted logon is invalid. This is either due to a bad username or authentication information.",
    "The attempted logon is invalid. This is either due to a bad username or authentication information.",
  ],
] as const) {
  test(`A11 a refusal in rclone's wording is reported in the server's: ${reason}`, () => {
    assert.deepEqual(readRefusedUpload(line(path, why)), { path, reason });
  });
}

test("A11 a route that is gone refuses nothing, and prevents no file's mount", () => {
  for (const why of [
    "failed to make parent directories: couldn't connect SMB: dial tcp 127.0.0.1:445: connect: connection refused",
    "failed to make parent directories: mkdir : connection error: EOF",
    "Update ReadFrom failed: write x: connection error: read tcp: i/o timeout",
  ]) {
    assert.equal(readRefusedUpload(line("x", why)), null, why);
  }
  const stuck = (path: string, why: string): string =>
    `2026/11/20 23:19:37 ERROR : ${path}: vfs cache: restart download failed: failed to start downloader: ${why}`;
  const log = [
    stuck("a: b", "failed to open downloader: vfs reader: failed to open source file: invalid seek position"),
    stuck("c", "failed to open downloader: couldn't connect SMB: dial tcp: i/o timeout"),
  ].join("\n");
  assert.deepEqual(readStuckFiles(log), ["a: b"]);
  const ofLevel = (level: string): boolean =>
    hasRouteTrouble(`2026/11/20 23:19:37 ${level} : c: i/o timeout`);
  assert.deepEqual([ofLevel("ERROR"), ofLevel("INFO ")], [true, false]);
});

test("A11 an upload broken off by a cut, or renamed since, counts as refused only at the third try", () => {
  for (const why of [
    "Update SetModTime failed: chtimes d\\x.6e3d7ed3.partial: file does not exist",
    "Update SetModTime failed: SetModTime: stat: stat d\\x.8465e014.partial: file does not exist",
    "A non-close operation has been requested of a file object that has a delete pending.",
    "object not found",
  ]) {
    assert.equal(readRefusedUpload(line("d/x", why, 2)), null, why);
    assert.equal(readRefusedUpload(line("d/x", why, 3))?.path, "d/x", why);
  }
});

test("A11 a log is read from the last position, even after it is cut or replaced", async (t) => {
  const files = rcloneFilesIn(await temporaryFolder(t));
  const refused = createRefusedUploads();
  let unsent = ["a", "b"];
  let asked = 0;
  const paths = async (): Promise<readonly string[]> =>
    (
      await refused.of("CORE", files, async () => {
        asked++;
        return unsent;
      })
    ).map(({ path }) => path);
  assert.deepEqual(await paths(), [], "there is no log yet");
  const why = "response error: No room.";
  await writeFile(files.log, `${line("a", why)}\n${line("b", why).slice(0, 60)}`);
  assert.deepEqual(await paths(), ["a"], "half a line is not read");
  await appendFile(files.log, `${line("b", why).slice(60)}\n`);
  assert.deepEqual(await paths(), ["a", "b"]);
  unsent = ["b"];
  assert.deepEqual(await paths(), ["b"], "what is sent is refused no more");
  unsent = ["a", "b"];
  await appendFile(files.log, `${"x".repeat(100)}\n`.repeat(50));
  assert.deepEqual(await paths(), ["b"]);
  // As a cut leaves it: shorter, in the same file, with older lines that were read before.
  await writeFile(files.log, `${line("a", why)}\n${"x".repeat(100)}\n`);
  assert.deepEqual(await paths(), ["b"], "what was read is not read again");
  await rm(files.log);
  await writeFile(`${files.log}.new`, `${line("a", why, 2)}\n`);
  await rename(`${files.log}.new`, files.log);
  assert.deepEqual(await paths(), ["a", "b"]);
  const many = Array.from({ length: 1_100 }, (_, index) => `file ${index}`);
  await appendFile(files.log, many.map((path) => `${line(path, why)}\n`).join(""));
  unsent = ["a", "b", ...many];
  assert.equal((await paths()).length, 1_000, "more are not shown");
  unsent = [];
  assert.deepEqual(await paths(), []);
  const before = asked;
  assert.deepEqual(await paths(), []);
  assert.equal(asked, before, "nothing is looked up while nothing is refused");
});
