// `mountaineer approve` as a process, with a scripted daemon: what it shows, asks the daemon, and ends with.
import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startRig } from "../../api/management-rig.ts";
import { SHA256, scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, scriptedControl } from "../../api/sample-report.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

async function daemonWith(t: TestContext) {
  const home = await temporaryFolder(t);
  const file = join(home, "elsewhere.toml");
  await writeFile(file, "");
  const config = scriptedConfig();
  await startRig(t, { home, control: scriptedControl(sampleReport([], { config_path: file })), config });
  return { config, run: (...args: string[]) => runCommand(["approve", ...args], { home }) };
}

test("E2 what waits is shown beside what serves, and nobody says yes where nobody is asked", async (t) => {
  const { config, run } = await daemonWith(t);
  const list = await run("--list");
  assert.equal(list.code, 0);
  assert.match(list.stdout, /backends\.files: backend files would run evil instead/);
  assert.match(list.stdout, /^-command = "serve"\n\+command = "evil"$/m);
  const asked = await run();
  assert.deepEqual([asked.code, /--yes/.test(asked.stderr)], [2, true]);
  assert.equal((await run("nothing", "--yes")).code, 2);
  assert.deepEqual(config.calls, []);
});

test("E2 a yes goes to the daemon with the digest of what was shown", async (t) => {
  const { config, run } = await daemonWith(t);
  const done = await run("files", "--yes");
  assert.deepEqual([done.code, done.stdout], [0, "✓ approved: backends.files\n"]);
  const asked = config.calls.map(({ name, request }) => [name, request]);
  assert.deepEqual(asked, [["approve", { entries: [{ id: "backends.files", digest: SHA256 }] }]]);
});

test("E2 a mode is put into the file, and then approved", async (t) => {
  const { config, run } = await daemonWith(t);
  assert.equal((await run("--mode", "none", "--yes")).code, 0);
  const asked = config.calls.map(({ name, request }) => [name, request]);
  assert.deepEqual(asked, [
    ["edit", { edits: [{ key: "trust.approve", value: "none" }], source: "cli" }],
    ["approve", { entries: [], loosen: true }],
  ]);
  assert.equal((await run("--mode", "none")).code, 2, "nobody is there to say yes");
});

test("E2 without a daemon, lists say of a backend that nobody approved that it waits", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  const run = (...args: string[]) => runCommand(args, { home });
  const server = `command = ${JSON.stringify(process.execPath)}\nargs = ["--version"]\n`;
  await writeFile(file, `[backends.files]\nenabled = false\n${server}`);
  assert.equal((await run("approve", "--mode", "commands", "--yes")).code, 0);
  await appendFile(file, `[backends.evil]\n${server}`);
  const list = await run("backends", "list");
  assert.match(
    list.stdout,
    /^▲ evil {3}waits for approval\n[\s\S]*mountaineer approve backends\.evil\n/m,
    list.stderr,
  );
  assert.match(list.stdout, /^○ files {2}disabled/m);
  assert.match(
    (await run("tools", "list")).stderr,
    /^mountaineer: backend evil: waits for approval \(mountaineer approve\)$/m,
  );
});
