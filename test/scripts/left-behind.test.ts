// What a test leaves behind, and what keeps it alive.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path, { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { keptAliveBy, reportedHandles, reportOptions } from "../../scripts/kept-alive.ts";
import {
  clearLeftBehind,
  describeLeftBehind,
  findLeftBehind,
  isNothing,
  mentions,
} from "../../scripts/left-behind.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function mark(t: TestContext): Promise<{ folder: string; token: string }> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "mark-")));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { folder, token: path.basename(folder).replaceAll("-", "") };
}

function start(t: TestContext, args: string[], env: NodeJS.ProcessEnv, cwd = "/"): ChildProcess {
  const child = spawn("sleep", ["300", ...args], { stdio: "ignore", detached: true, env, cwd });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

const linuxOnly = process.platform === "linux" ? false : "Linux only: needs /proc";

test("a process is found by its environment, its arguments and its folder, and ended", {
  skip: linuxOnly,
}, async (t) => {
  const { folder, token } = await mark(t);
  const plain = { PATH: process.env["PATH"] };
  const byEnvironment = start(t, [], { ...plain, TMPDIR: folder });
  const byFolder = start(t, [], plain, folder);
  const other = start(t, [], { ...plain, TMPDIR: `${folder}2` });
  const expected = [byEnvironment.pid, byFolder.pid].toSorted();
  const found = await eventually(async () => {
    const left = await findLeftBehind({ folder, token });
    return left.processes.length === 2 && left;
  });
  assert.deepEqual(found.processes.map(({ pid }) => pid).toSorted(), expected);
  assert.match(describeLeftBehind(found)[0] ?? "", /^process \d+ is still running: sleep 300/);
  await clearLeftBehind(found);
  await eventually(async () => isNothing(await findLeftBehind({ folder, token })));
  assert.equal(other.exitCode, null);
  assert.equal(other.signalCode, null);
});

test("nothing is found where nothing was left", async (t) => {
  assert.ok(isNothing(await findLeftBehind(await mark(t))));
});

test("a folder is mentioned as a whole path only", () => {
  assert.ok(mentions("TMPDIR=/tmp/mt-a/1\0PATH=/bin", "/tmp/mt-a/1"));
  assert.ok(mentions("--config\0/tmp/mt-a/1/x", "/tmp/mt-a/1"));
  assert.ok(mentions("/tmp/mt-a/12 /tmp/mt-a/1", "/tmp/mt-a/1"));
  assert.ok(!mentions("/tmp/mt-a/12/x", "/tmp/mt-a/1"));
  assert.ok(!mentions("/tmp/mt-a/1.output", "/tmp/mt-a/1"));
});

const LISTENS = 'require("node:net").createServer().listen(0, "127.0.0.1", () => console.log("listens"))';

describe("what keeps a test's process alive", () => {
  test("is told by the process itself: here a port that was not closed", async (t) => {
    const reportPath = join(await temporaryFolder(t), "report.json");
    const child = spawn(process.execPath, [...reportOptions(reportPath), "-e", LISTENS], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(child, "exit");
    t.after(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    await once(child.stdout, "data");
    assert.ok(child.pid !== undefined);
    const lines = await keptAliveBy(child.pid, reportPath);
    assert.ok(
      lines.some((line) => line.includes('"type":"tcp"') && line.includes("127.0.0.1")),
      lines.join("\n"),
    );
  });

  test("is nothing when the process has ended", async (t) => {
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    await once(child, "exit");
    assert.ok(child.pid !== undefined);
    assert.deepEqual(await keptAliveBy(child.pid, join(await temporaryFolder(t), "report.json")), []);
  });

  test("is not read from half a report", () => {
    assert.equal(reportedHandles('{"libuv": [{"type": "tcp", '), null);
  });
});
