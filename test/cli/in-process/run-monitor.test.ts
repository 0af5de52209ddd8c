// `monitor` as a process, and how it hears of a hangup.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { listenForHangups } from "../../../src/cli/in-process/run-monitor.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, startCommand } from "../command-line.ts";

test("monitor serves until SIGTERM or Ctrl-C, and then leaves neither socket nor record", async (t) => {
  const home = await temporaryFolder(t);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const { child, ended } = startCommand(["monitor", "--interval", "0.5"], { home });
    t.after(() => void child.kill("SIGKILL"));
    await eventually(async () => (await connectToDaemon(home)) !== null);
    const status = await runCommand(["status", "--json"], { home });
    assert.equal(JSON.parse(status.stdout).global.pid, child.pid);
    assert.equal(JSON.parse(status.stdout).global.check_interval_secs, 0.5);
    child.kill(signal);
    await ends(ended, 0, "");
    const left = await readdir(home);
    assert.ok(!left.includes("mountaineer.sock") && !left.includes("daemon.json"), left.join(" "));
  }
});

test("a monitor whose stderr is no longer read keeps running", async (t) => {
  const home = await temporaryFolder(t);
  const { child, ended } = startCommand(["monitor", "--interval", "0.2"], {
    home,
    env: { MOUNTAINEER_LOG: "debug" },
  });
  t.after(() => void child.kill("SIGKILL"));
  child.stderr?.destroy();
  await eventually(async () => (await connectToDaemon(home)) !== null);
  for (let round = 0; round < 3; round++) {
    assert.equal((await runCommand(["status"], { home })).code, 0);
  }
  child.kill("SIGTERM");
  assert.equal((await ended).code, 0);
});

test("a home that cannot be created ends monitor with exit code 6; reading commands need none", async (t) => {
  const blocked = await runCommand(["monitor"], { home: "/dev/null/home" });
  assert.equal(blocked.code, 6);
  assert.match(blocked.stderr, /^mountaineer: .*\/dev\/null\/home.*\n/);
  const missing = join(await temporaryFolder(t), "missing");
  assert.equal((await runCommand(["status"], { home: missing })).code, 0);
  await assert.rejects(readdir(missing), { code: "ENOENT" });
});

test("an obstacle at the socket's path ends monitor before anything starts", async (t) => {
  for (const make of [(path: string) => mkdir(path), (path: string) => writeFile(path, "mine")]) {
    const home = await temporaryFolder(t);
    await make(join(home, "mountaineer.sock"));
    const { code, stderr } = await runCommand(["monitor"], { home });
    assert.equal(code, 1);
    assert.match(stderr, /^mountaineer: .*mountaineer\.sock is in the way/m);
    assert.doesNotMatch(stderr, /running/);
    assert.ok(!(await readdir(home)).includes("state.json"));
  }
});

test("a link in the place of state.json ends monitor with exit code 6, and its target is not touched", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "mine"), "mine");
  await symlink("mine", join(home, "state.json"));
  await ends(runCommand(["monitor"], { home }), 6, null, /state\.json: it is a symbolic link/);
  assert.equal(await readFile(join(home, "mine"), "utf8"), "mine");
});

test("a file in place of the home is reported as a file, never as a bug in Mountaineer", async (t) => {
  const home = join(await temporaryFolder(t), "file");
  await writeFile(home, "");
  for (const [command, exit] of [
    ["mount", 6],
    ["reload", 6],
    ["status", 6],
    ["config history", 1],
  ] as const) {
    const { code, stderr } = await runCommand(command.split(" "), { home });
    assert.equal(code, exit, command);
    assert.match(stderr, /^mountaineer: .*not a directory/, command);
    assert.doesNotMatch(stderr, /internal error|report it/, command);
  }
});

test("each SIGHUP reaches every listener until it is unregistered", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  const heard: string[] = [];
  const stop = listen(() => heard.push("one"));
  listen(() => heard.push("two"));
  source.emit("SIGHUP");
  stop();
  stop();
  source.emit("SIGHUP");
  assert.deepEqual(heard, ["one", "two", "two"]);
});

test("a hangup that arrived before any listener is delivered once, and not synchronously", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  source.emit("SIGHUP");
  source.emit("SIGHUP");
  let heard = 0;
  listen(() => {
    heard += 1;
  });
  assert.equal(heard, 0);
  await Promise.resolve();
  assert.equal(heard, 1);
  listen(() => assert.fail("it was told already"));
  await Promise.resolve();
});

test("a listener that has left by then hears nothing", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  source.emit("SIGHUP");
  listen(() => assert.fail("it has left"))();
  await Promise.resolve();
});
