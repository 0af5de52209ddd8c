// The `config` commands, `reload` and SIGHUP with a real monitor.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { assertEach } from "../../support/assert-each.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, type Served, serveHere, startCommand } from "../command-line.ts";

const never = new AbortController().signal;

const INTERVAL = ["--interval", "0.2"];

async function writeConfig(home: string, sync: string): Promise<string> {
  const file = join(home, "config.toml");
  for (const name of ["one", "other"]) await mkdir(join(home, name));
  const text = `# mine\n[global]\nshares_root = "${home}/Shares"\n\n[sync]\n${sync}\n${shareText(home, "CORE")}`;
  await writeFile(file, text);
  return file;
}

/** A monitor that watches nothing by itself, with a share of driver `local`. */
async function startRig(t: TestContext) {
  let served: Served | null = null;
  // Before the folder: what runs in it ends first.
  t.after(() => served?.stop());
  const home = await temporaryFolder(t);
  const file = await writeConfig(home, "enabled = false");
  served = await serveHere({ home }, ...INTERVAL);
  return {
    home,
    file,
    client: served.client,
    run: (...args: string[]) => runCommand(args, { home }),
    text: () => readFile(file, "utf8"),
  };
}

function shareText(home: string, name: string): string {
  const paths = `thunderbolt_path = "${home}/one"\nfallback_path = "${home}/other"`;
  return `\n[[shares]]\nname = "${name}"\ndriver = "local"\n${paths}\n`;
}

test("B6 an edit by command takes effect at once, and can be undone", async (t) => {
  const { run, text, client } = await startRig(t);
  const before = await text();
  const set = await run("config", "set", "auto-failback", "on");
  assert.deepEqual([set.code, set.stderr], [0, ""]);
  assert.match(
    set.stdout,
    /auto-failback is true \(it was false by default\)\n✓ settings reloaded \(generation 2\)/,
  );
  assert.equal((await client.call("status", null, never)).global.auto_failback, true);
  assert.match(await text(), /^# mine\n/);
  await ends(run("config", "rollback"), 0);
  assert.equal(await text(), before);
  assert.equal((await client.call("status", null, never)).global.auto_failback, false);
  const history = JSON.parse((await run("config", "history", "--json")).stdout);
  assertEach(history, ({ n, source }: Record<string, unknown>) => [n, source], [
    [0, "rollback 1"],
    [1, "cli"],
    [2, "start"],
  ]);
  assert.equal((await client.call("sync", null, never)).events.at(-1)?.type, "changed");
});

test("A6 B10 reload applies a person's edit, without a watch; --dry-run only describes it", async (t) => {
  const { run, file, text, home, client } = await startRig(t);
  await writeFile(file, (await text()) + shareText(home, "NEW"));
  await ends(run("reload", "--dry-run"), 0, "✓ a reload would:\n    start  NEW\n    stay   CORE\n");
  assert.equal((await client.call("status", null, never)).shares.length, 1);
  await ends(run("reload"), 0, /^✓ 1 share reloaded \(generation 2\)\n {4}started {2}NEW\n$/);
  assert.equal((await client.call("status", null, never)).shares.length, 2);
  assert.match((await run("reload")).stdout, /^– no changes/);
});

test("B10 a SIGHUP reloads, and ends nothing", async (t) => {
  const { file, text, home, client } = await startRig(t);
  await writeFile(file, (await text()) + shareText(home, "NEW"));
  process.kill(process.pid, "SIGHUP");
  await eventually(async () => (await client.call("status", null, never)).shares.length === 2);
});

test("B6 a rejected file changes nothing, is shown with the error's position, and rollback 0 restores it", async (t) => {
  const { run, file, text, client } = await startRig(t);
  const good = await text();
  await writeFile(file, good.replace("[sync]", "[snyc]"));
  await ends(run("reload"), 3, "", /config\.toml:5:2: snyc/);
  assert.match((await run("status")).stdout, /✗ The configuration file is not in use/);
  assert.equal((await client.call("status", null, never)).shares.length, 1);
  assert.match((await run("config", "diff", "0")).stdout, /^-\[sync\]\n\+\[snyc\]$/m);
  assert.equal((await run("config", "set", "auto-failback", "on")).code, 3);
  assert.equal((await run("config", "rollback", "0")).code, 0);
  assert.equal(await text(), good);
  assert.doesNotMatch((await run("status")).stdout, /not in use/);
});

test("B4 a killed daemon starts with the last accepted configuration while the file is invalid, and reports it", async (t) => {
  const home = await temporaryFolder(t);
  const file = await writeConfig(home, "poll_interval = 0.1\ndebounce = 0.05");
  const run = (...args: string[]) => runCommand(args, { home });
  const good = await readFile(file, "utf8");
  const monitor = startCommand(["monitor", ...INTERVAL], { home });
  t.after(() => void monitor.child.kill("SIGKILL"));
  await eventually(async () => (await run("config", "history", "--json")).stdout.includes('"start"'));
  monitor.child.kill("SIGKILL");
  await monitor.ended;
  await writeFile(file, good.replace("[sync]", "[snyc]"));
  for (const command of ["config validate", "mount", "config set auto-failback on"]) {
    const { code, stderr } = await run(...command.split(" "));
    assert.equal(code, 3, `${command}: ${stderr}`);
  }

  const again = startCommand(["monitor", ...INTERVAL], { home });
  t.after(async () => {
    again.child.kill("SIGTERM");
    await again.ended;
  });
  const client = await eventually(async () => connectToDaemon(home));
  const { shares } = await client.call("status", null, never);
  assert.deepEqual(pluck(shares, "name"), ["CORE"]);
  const status = (await run("status")).stdout;
  assert.match(status, /✗ The configuration file is not in use:\s+\S+config\.toml:5:2: snyc/);
  await writeFile(file, good.replace("[global]", "[global]\nauto_failback = true"));
  await eventually(async () => (await client.call("status", null, never)).global.auto_failback);
  await eventually(async () => !(await run("status")).stdout.includes("not in use"));
  again.child.kill("SIGTERM");
  const { code, stderr } = await again.ended;
  assert.equal(code, 0);
  assert.match(stderr, /^mountaineer: the configuration has a mistake\n.*config\.toml:5:2: snyc$/m);
  assert.match(stderr, /the last accepted configuration runs until the file is corrected/);
});
