// Real files, disks, pipes: rotation, full disks, readers that stop, secrets.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { startLog } from "../../../src/runtime/log/log-file.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { collect } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { LINUX_ALONE } from "../../support/where.ts";

/** For a program that is expected to end by itself. */
const DEADLINE_MS = 60_000;

async function start(
  t: TestContext,
  options: { path?: string; level?: "debug" | "info"; maxFileBytes?: number } = {},
) {
  const path = options.path ?? join(await temporaryFolder(t), "logs", "mountaineer.log");
  const clock = createManualClock(Date.UTC(2026, 10, 20, 12));
  const { level = "info", maxFileBytes = 1024 * 1024 } = options;
  const log = startLog({ filePath: path, stderr: false, level, clock, maxFileBytes });
  t.after(() => log[Symbol.asyncDispose]());
  return { path, clock, log, logger: log.logger };
}

async function messages(path: string): Promise<string[]> {
  const lines = (await readFile(path, "utf8")).split("\n");
  assert.equal(lines.pop(), "");
  return lines.map((line) => String(JSON.parse(line).message));
}

/** A log of 20 lines on a disk that became full after some of them; null: no disk can be made here. */
async function fillDisk(t: TestContext) {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return null;
  const [path, ballast] = [join(disk, "mountaineer.log"), join(disk, "ballast")];
  const { clock, log, logger } = await start(t, { path });
  await assert.rejects(writeFile(ballast, "x".repeat(1024 * 1024)), { code: "ENOSPC" });
  await truncate(ballast, 56 * 1024);
  const expected = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  for (const message of expected) logger.info(message, { padding: "p".repeat(1_000) });
  await eventually(async () => (await stat(path)).size > 0 && clock.pendingTimers > 0);
  return { path, ballast, clock, log, expected };
}

async function untilLogged(path: string, expected: string[]): Promise<void> {
  await eventually(async () => {
    assert.deepEqual(await messages(path), expected);
    return true;
  });
}

/**
 * A program that logs to its own stderr; `script` sees `log`, `logger`, `clock`. What it has to write at its end takes
 * as long as it takes, unless its patience is the usual one.
 */
function loggingProgram(script: string, patience: "endless" | "usual" = "endless"): readonly string[] {
  const source = (file: string): string =>
    JSON.stringify(join(import.meta.dirname, "../../../src/runtime", file));
  return [
    "--input-type=module",
    "-e",
    `import { startLog } from ${source("log/log-file.ts")};
     import { systemClock } from ${source("time/clock.ts")};
     const waits = ${patience === "endless" ? 1_000 : 1};
     const clock = { ...systemClock, setTimer: (ms, callback) => systemClock.setTimer(ms * waits, callback) };
     const log = startLog({ filePath: process.argv[1] ?? null, stderr: true, level: "info", clock });
     const { logger } = log;
     ${script}
     await log[Symbol.asyncDispose]();`,
  ];
}

describe("log file", () => {
  it("A9 gets JSON lines, is private, and its folder is made", async (t) => {
    const { path, log, logger } = await start(t);
    logger.info("mounted", { share: "CORE", took_ms: 3 });
    logger.warn("later");
    logger.error("last");
    await log[Symbol.asyncDispose]();
    const text = await readFile(path, "utf8");
    const first =
      '{"time":"2026-11-20T12:00:00.000Z","level":"info","message":"mounted","share":"CORE","took_ms":3}\n';
    assert.ok(text.startsWith(first), text);
    assert.deepEqual(await messages(path), ["mounted", "later", "last"]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(path, ".."))).mode & 0o777, 0o700);
  });

  it("keeps its content and mode, and writes only the requested levels", async (t) => {
    const { path, log, logger } = await start(t);
    logger.debug("no");
    logger.info("yes");
    await log[Symbol.asyncDispose]();
    logger.info("too late");
    await chmod(path, 0o640);
    const again = await start(t, { path, level: "debug" });
    again.logger.debug("now yes");
    await again.log[Symbol.asyncDispose]();
    assert.deepEqual(await messages(path), ["yes", "now yes"]);
    assert.equal((await stat(path)).mode & 0o777, 0o640);
  });

  it("follows a rotation by rename, including one that re-creates the file, and a removal", async (t) => {
    const { path, clock, logger } = await start(t);
    logger.info("one");
    await untilLogged(path, ["one"]);
    await rename(path, `${path}.1`);
    await clock.advance(1_000);
    logger.info("two");
    await untilLogged(path, ["two"]);
    await rename(path, `${path}.2`);
    await writeFile(path, "");
    await clock.advance(1_000);
    logger.info("three");
    await untilLogged(path, ["three"]);
    await rm(join(path, ".."), { recursive: true });
    await clock.advance(1_000);
    logger.info("four");
    await untilLogged(path, ["four"]);
  });

  it("moves a full file away, in place of the previous one, and loses no line", async (t) => {
    const { path, logger } = await start(t, { maxFileBytes: 1_000 });
    const long = "x".repeat(600);
    for (const message of ["one", "two", "three", "four", "five"]) {
      logger.info(message, { long });
      await eventually(async () => (await messages(path)).at(-1) === message);
    }
    assert.deepEqual(await messages(path), ["five"]);
    assert.deepEqual(await messages(`${path}.1`), ["three", "four"]);
    assert.deepEqual((await readdir(join(path, ".."))).toSorted(), ["mountaineer.log", "mountaineer.log.1"]);
  });

  it("keeps a link at its path, and moves its target away", async (t) => {
    const folder = await temporaryFolder(t);
    const far = join(folder, "far.log");
    const path = join(folder, "mountaineer.log");
    await symlink(far, path);
    const { logger } = await start(t, { path, maxFileBytes: 500 });
    const long = "x".repeat(600);
    for (const message of ["one", "two"]) {
      logger.info(message, { long });
      await untilLogged(far, [message]);
    }
    assert.deepEqual(await messages(`${far}.1`), ["one"]);
    assert.equal(await readlink(path), far);
  });

  it("rotates neither a file that has since been emptied nor one that cannot be moved", async (t) => {
    const { path, logger, clock } = await start(t, { maxFileBytes: 500 });
    const long = "x".repeat(600);
    logger.info("one", { long });
    await untilLogged(path, ["one"]);
    await truncate(path, 0);
    logger.info("two", { long });
    await untilLogged(path, ["two"]);
    await mkdir(`${path}.1`);
    logger.info("three", { long });
    await untilLogged(path, ["two", "three"]);
    await rm(`${path}.1`, { recursive: true });
    logger.info("four", { long });
    await untilLogged(path, ["two", "three", "four"]);
    await clock.advance(60_000);
    logger.info("five", { long });
    await untilLogged(path, ["five"]);
    assert.deepEqual(await messages(`${path}.1`), ["two", "three", "four"]);
  });

  it("checks for a rotation at most once a second; lines until then go to the old file", async (t) => {
    const { path, clock, logger } = await start(t);
    logger.info("one");
    await untilLogged(path, ["one"]);
    await rename(path, `${path}.1`);
    await clock.advance(999);
    logger.info("two");
    await untilLogged(`${path}.1`, ["one", "two"]);
  });

  it("reopens at once on request, without a line to write", async (t) => {
    const { path, log, logger } = await start(t);
    logger.info("one");
    await untilLogged(path, ["one"]);
    await rename(path, `${path}.1`);
    await log.reopen();
    assert.equal(await readFile(path, "utf8"), "");
    logger.info("two");
    await untilLogged(path, ["two"]);
    assert.deepEqual(await messages(`${path}.1`), ["one"]);
  });

  it("does not join a line to half a line left by a crash", async (t) => {
    const path = join(await temporaryFolder(t), "mountaineer.log");
    await writeFile(path, '{"time":"2026', { mode: 0o600 });
    const { log, logger } = await start(t, { path });
    logger.info("one");
    await log[Symbol.asyncDispose]();
    const lines = (await readFile(path, "utf8")).split("\n");
    assert.deepEqual([lines[0], lines.length], ['{"time":"2026', 3]);
    assert.equal(JSON.parse(lines[1] ?? "").message, "one");
  });

  it("A9 never holds a secret, in message, field, name or list, whenever it is logged", async (t) => {
    const { path, log, logger } = await start(t);
    const secret = 'hunter"2';
    log.redact(secret);
    logger.info(`pw ${secret}`, { [secret]: secret, argv: ["-p", secret], json: JSON.stringify({ secret }) });
    // Cutting comes after: half a secret is one too.
    logger.info("long", { text: `${"x".repeat(8_188)}${secret}` });
    await log[Symbol.asyncDispose]();
    assert.doesNotMatch(await readFile(path, "utf8"), /hunt/u);
  });

  it("a full disk is waited for; nothing logged is lost or torn", async (t) => {
    const full = await fillDisk(t);
    if (full === null) return;
    const { path, clock, log, expected } = full;
    await rm(full.ballast);
    await clock.advance(1_000);
    await untilLogged(path, expected);
    await log[Symbol.asyncDispose]();
  });

  it("a rotation while the disk is full tears no line in the new file", async (t) => {
    const full = await fillDisk(t);
    if (full === null) return;
    const { path, clock, log, expected } = full;
    await rename(path, `${path}.1`);
    await rm(full.ballast);
    await clock.advance(1_000);
    await eventually(async () => (await messages(path)).at(-1) === "line 19");
    await log[Symbol.asyncDispose]();
    const old = (await readFile(`${path}.1`, "utf8")).split("\n");
    old.pop();
    const all = [...old.map((line) => JSON.parse(line).message), ...(await messages(path))];
    assert.deepEqual(all, expected);
  });

  it("does not fail when its path cannot be written", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "mountaineer.log"));
    const result = await runCommand(
      process.execPath,
      [
        ...loggingProgram(`for (let i = 0; i < 3; i++) { logger.info("still here", { i });
          await new Promise((resolve) => setTimeout(resolve, 700)); }`),
        "--",
        join(folder, "mountaineer.log"),
      ],
      { clock: systemClock, deadlineMs: DEADLINE_MS },
    );
    assert.equal(result.exitCode, 0, result.stderr);
    assert.equal(result.stderr.match(/the log file cannot be written/gu)?.length, 1, result.stderr);
    assert.match(result.stderr, /error="EISDIR/u);
    assert.equal(result.stderr.match(/still here/gu)?.length, 3);
    assert.deepEqual(await readdir(join(folder, "mountaineer.log")), []);
  });
});

describe("stderr", () => {
  it("gets readable lines without colour when it is not a terminal", async () => {
    const result = await runCommand(
      process.execPath,
      [...loggingProgram(`logger.info("mounted", { share: "CO\\nRE" }); logger.debug("no");`)],
      { clock: systemClock, deadlineMs: DEADLINE_MS },
    );
    assert.match(result.stderr, /^\d\d:\d\d:\d\d\.\d{3} info {2}mounted share="CO\\nRE"\n$/u);
  });

  it("has colour on a terminal, unless NO_COLOR is set", { skip: LINUX_ALONE }, async (t) => {
    const args = loggingProgram(`logger.warn("hot");`).map((arg) => `'${arg.replaceAll("'", "'\\''")}'`);
    const command = `'${process.execPath}' ${args.join(" ")}`;
    const onTerminal = async (env: Record<string, string>) =>
      runCommand("script", ["-qec", command, "/dev/null"], {
        clock: systemClock,
        deadlineMs: DEADLINE_MS,
        env,
        stdin: "",
      });
    let coloured: Awaited<ReturnType<typeof onTerminal>>;
    try {
      coloured = await onTerminal({});
    } catch {
      t.skip("needs script(1) for a terminal");
      return;
    }
    assert.ok(coloured.stdout.includes("\u001b[33mwarn"));
    const plain = await onTerminal({ NO_COLOR: "1" });
    assert.match(plain.stdout, /warn {2}hot/u);
    assert.ok(!plain.stdout.includes("\u001b[33m"));
  });

  it("without a reader neither blocks the daemon nor prevents its end", {
    timeout: 60_000,
  }, async (t) => {
    const script = `
      for (let i = 0; i < 5_000; i++) logger.info("line", { i, padding: "p".repeat(500) });
      await new Promise((resolve) => setTimeout(resolve, 100));
      process.stdout.write("alive");
      await log[Symbol.asyncDispose]();
      process.exit(0);`;
    const child = spawn(process.execPath, loggingProgram(script, "usual"), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.after(() => child.kill("SIGKILL"));
    // The pipe stays full to the end: a write that blocks would block for good.
    child.stderr.pause();
    const [[said], [code]] = await Promise.all([once(child.stdout, "data"), once(child, "exit")]);
    assert.deepEqual([String(said), code], ["alive", 0]);
    child.stderr.destroy();
  });

  it("whose reader returns late gets the newest lines and the number of lost ones", async (t) => {
    const script = `
      for (let i = 0; i < 5_000; i++) logger.info("line", { i, padding: "p".repeat(500) });
      logger.error("the end");
      process.stdout.write("logged");
      process.stdin.resume();
      await new Promise((resolve) => process.stdin.once("end", resolve));`;
    const child = spawn(process.execPath, loggingProgram(script), { stdio: ["pipe", "pipe", "pipe"] });
    t.after(() => child.kill("SIGKILL"));
    child.stderr.pause();
    await once(child.stdout, "data");
    const { ended } = collect(child);
    child.stderr.resume();
    child.stdin.end();
    const { stderr: text } = await ended;
    const lost = Number(/log lines were dropped count=(\d+)/u.exec(text)?.[1]);
    const got = text.match(/ line i=/gu)?.length ?? 0;
    assert.ok(lost > 0);
    assert.equal(lost + got, 5_000);
    assert.match(text, /the end\n$/u);
  });

  it("whose reader has gone is released", async (t) => {
    const script = `
      for (let i = 0; i < 100; i++) {
        logger.info("line", { i });
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      process.stdout.write("fine");`;
    const child = spawn(process.execPath, loggingProgram(script), { stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill("SIGKILL"));
    await once(child.stderr, "data");
    child.stderr.destroy();
    await ends(collect(child).ended, 0, "fine");
  });
});
