// What somebody sees who runs it for the first time, with something missing.
import assert from "node:assert/strict";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runCommand, startCommand } from "./command-line.ts";

const SHARE = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.1:1"
fallback_host = "127.0.0.1:2"
password = "\${NAS_PASSWORD}"
`;

test("monitor says at once which variable is not set, and what to do", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), SHARE);
  const monitor = startCommand(["monitor"], { home });
  await eventually(() => /share\.condition .*NAS_PASSWORD.* hint=/.test(monitor.stderr()), 20_000);
  monitor.child.kill("SIGTERM");
  assert.equal((await monitor.ended).code, 0);
});

test("what is asked of a share whose password is missing says how to set it, not to mount it", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), SHARE);
  for (const args of [["mount"], ["verify"], ["reconcile"], ["folders", "--share", "CORE"]]) {
    const { code, stdout, stderr } = await runCommand(args, { home });
    const told = `${stdout}${stderr}`;
    assert.equal(code, 1, told);
    assert.match(told, /hint: Set NAS_PASSWORD in the environment of the daemon/);
    assert.doesNotMatch(told, /mountaineer mount/);
  }
});

test("doctor gives each mistake its own hint, and says once where they are mended", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nauto_failbak = true\nlsof_rechek = true\n");
  const { stdout } = await runCommand(["doctor"], { home });
  assert.equal(stdout.match(/did you mean/g)?.length, 2, stdout);
  assert.equal(stdout.match(/mountaineer config edit/g)?.length, 1, stdout);
});

test("C3 a reload is one line in the log, and a backend that cannot start a warning", async (t) => {
  const folder = await temporaryFolder(t);
  const backend = '[backends.files]\ncommand = "sh"\nenv = { T = "${NOT_SET}" }\n';
  const sync = '[sync]\ndetection = "hash"\npoll_interval = 0.1\ndebounce = 0.1\n';
  const config = `[server]\nport = ${await freePort()}\n${sync}${backend}`;
  const home = await createTestHome({ home: join(folder, "home"), config, env: { HOME: folder } });
  await using _monitor = await home.startMonitor();
  const begun = await home.log();
  const failed = begun.filter(({ message, level }) => message === "backend.phase" && level === "warn");
  assert.deepEqual(
    failed.map(({ reason }) => reason),
    ["not set in the environment: NOT_SET"],
  );
  const told = async (): Promise<unknown[]> =>
    (await home.log()).map(({ message }) => message).filter((message) => /config|reload/.test(`${message}`));
  const before = (await told()).length;
  for (const [times, interval] of [3, 4].entries()) {
    await home.writeConfig(`${config}[global]\ncheck_interval_secs = ${interval}\n`);
    await eventually(async () => (await told()).length > before + times, 10_000);
  }
  // The second is there, so all that the first had to say is, too.
  assert.deepEqual((await told()).slice(before), ["config.applied", "config.applied"]);
});

test("a configuration that is named and not there is told, and none is written in its place", async (t) => {
  const home = await temporaryFolder(t);
  const path = join(home, "mine.toml");
  for (const command of ["monitor", "status", "verify"]) {
    const { code, stderr } = await runCommand([command, "--config", path], { home });
    assert.notEqual(code, 0, command);
    assert.equal(
      stderr,
      `mountaineer: there is no file at ${path}\n  hint: name one that is there, or have one written: mountaineer init --config ${path}\n`,
    );
  }
  await assert.rejects(access(path), { code: "ENOENT" });
});
