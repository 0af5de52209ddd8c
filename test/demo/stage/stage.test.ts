import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "smol-toml";
import { startLocalNas } from "../../../src/demo/stage/nas-local.ts";
import { openStage } from "../../../src/demo/stage/stage.ts";
import { temporaryFolder as markOf, stageLayout } from "../../../src/demo/stage/stage-layout.ts";
import { clearRemains, findRemains } from "../../../src/demo/stage/stage-remains.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { COMMAND } from "../../cli/command-line.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const KEEPER = join(import.meta.dirname, "../../../bin/service-keeper.sh");

test("both cables of the plain server lead to one folder; a pulled one leads nowhere", async (t) => {
  const nas = await startLocalNas(await temporaryFolder(t));
  const { tb, fallback } = nas.cables;
  const server = await stat(nas.serverFolder);
  for (const cable of [tb, fallback]) assert.equal((await stat(cable.address)).ino, server.ino);
  await tb.pull();
  await tb.pull();
  assert.equal(tb.plugged, false);
  assert.equal(existsSync(tb.address), false);
  assert.equal(existsSync(fallback.address), true);
  await tb.plug();
  await tb.plug();
  assert.equal(tb.plugged, true);
  assert.equal((await stat(tb.address)).ino, server.ino);
});

test("a stage is one private folder with a valid configuration, and is gone when it is disposed", async () => {
  const stage = await openStage({
    carry: "off",
    program: COMMAND,
    keeper: KEEPER,
    driver: "local",
    signal: new AbortController().signal,
  });
  const { folder, configFile, home } = stage.layout;
  try {
    assert.equal((await stat(folder)).mode & 0o077, 0);
    assert.equal((await stat(home)).mode & 0o077, 0);
    const config = parse(await readFile(configFile, "utf8"));
    assert.deepEqual(Object.keys(config), ["global", "shares"]);
    const first = await stage.sign();
    const second = await stage.sign();
    assert.notEqual(first, second);
    assert.equal(first.length, second.length, "rewritten in place, so never seen half");
    assert.equal(await readFile(join(stage.nas.serverFolder, "hello.txt"), "utf8"), second);
    assert.equal(await stage.share(), null, "no daemon runs yet");
    assert.deepEqual(await stage.remains(), []);
    const { exitCode, stderr } = await stage.mountaineer(["status"]);
    assert.equal(exitCode, 0, stderr);
  } finally {
    await stage[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  }
  assert.equal(existsSync(folder), false);
});

test("what carries the stage's mark is found and ended, what merely looks at its files is not", async (t) => {
  const folder = await temporaryFolder(t);
  const { home } = stageLayout(folder);
  await mkdir(home);
  const sleepers = [{ TMPDIR: markOf(folder) }, { TMPDIR: folder }, {}].map((env) => {
    const child = spawn("sleep", ["1000"], { env: { ...process.env, ...env }, stdio: "ignore", cwd: home });
    t.after(() => child.kill("SIGKILL"));
    return child;
  });
  const [marked, , registered] = sleepers;
  const identity = await processIdentity(registered?.pid ?? 0);
  assert.ok(identity !== null);
  const marks = { folder, home, started: [identity] };
  const { processes, mounts } = await findRemains(marks);
  const expected = existsSync("/proc/self/environ") ? [registered?.pid, marked?.pid] : [registered?.pid];
  assert.deepEqual(processes.map((found) => found.identity.pid).sort(), expected.sort());
  assert.deepEqual(mounts, []);
  await clearRemains(marks);
  assert.equal(existsSync(folder), false);
  assert.equal(sleepers[1]?.exitCode ?? sleepers[1]?.signalCode ?? null, null, "somebody else's goes on");
});
