import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { installPlugin, PLUGIN_FILE } from "../../../src/menubar/swiftbar/install-plugin.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** A `defaults` that knows one setting. */
async function placesOf(t: TestContext, setting: string | null) {
  const userHome = await temporaryFolder(t);
  const defaultsProgram = join(userHome, "defaults");
  const knows =
    setting === null
      ? 'echo "The domain/default pair does not exist" >&2; exit 1'
      : `[ "$*" = "read com.ameba.SwiftBar PluginDirectory" ] && echo '${setting}'`;
  await writeFile(defaultsProgram, `#!/bin/sh\n${knows}\n`);
  await chmod(defaultsProgram, 0o755);
  return { userHome, defaultsProgram, clock: systemClock, nodeFolder: "/opt/a node/bin" };
}

const PROGRAM = ["/usr/bin/env", "MOUNTAINEER_HOME=/Users/ada/a home", "/opt/it's/node", "/opt/main.js"];

test("the plugin goes into the folder SwiftBar is set to, ~ and all, and again changes nothing", async (t) => {
  const places = await placesOf(t, "~/My Plugins");
  const first = await installPlugin(PROGRAM, null, places);
  assert.deepEqual(first, { path: join(places.userHome, "My Plugins", PLUGIN_FILE), changed: true });
  assert.equal((await stat(first.path)).mode & 0o777, 0o755);
  const text = await readFile(first.path, "utf8");
  assert.match(text, /^#!\/bin\/sh\n/);
  assert.match(text, /<swiftbar.type>streamable<\/swiftbar.type>/);
  const before = (await stat(first.path)).mtimeMs;
  assert.deepEqual(await installPlugin(PROGRAM, null, places), { path: first.path, changed: false });
  assert.equal((await stat(first.path)).mtimeMs, before);
});

test("the script passes on its own path and what a click says, word by word", async (t) => {
  const folder = await temporaryFolder(t);
  const echo = join(folder, "it's an echo");
  await writeFile(echo, '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n');
  await chmod(echo, 0o755);
  const { path } = await installPlugin([echo, "a b"], folder, await placesOf(t, null));
  const { stdout } = spawnSync(path, ["--act", "mount/A%20B"], { encoding: "utf8" });
  assert.deepEqual(stdout.split("\n"), ["a b", "menubar", "--swiftbar", path, "--act", "mount/A%20B", ""]);
});

test("the script finds the Node that wrote it, first of all", async (t) => {
  const folder = await temporaryFolder(t);
  const tell = join(folder, "tell");
  await writeFile(tell, '#!/bin/sh\nprintf "%s" "$PATH"\n');
  await chmod(tell, 0o755);
  const { path } = await installPlugin([tell], folder, await placesOf(t, null));
  const { stdout } = spawnSync(path, [], { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } });
  assert.equal(stdout, "/opt/a node/bin:/usr/bin:/bin");
});

test("a newer program renews the plugin; a file of somebody else is left alone", async (t) => {
  const places = await placesOf(t, null);
  const folder = join(places.userHome, "plugins");
  const { path } = await installPlugin(["/old"], folder, places);
  assert.equal((await installPlugin(["/new"], folder, places)).changed, true);
  assert.match(await readFile(path, "utf8"), /^exec \/new menubar/m);
  await writeFile(path, "#!/bin/sh\necho mine\n");
  await assert.rejects(installPlugin(["/new"], folder, places), { code: "path_taken" });
  assert.equal(await readFile(path, "utf8"), "#!/bin/sh\necho mine\n");
});

test("without SwiftBar, xbar's folder; without both, what to install", async (t) => {
  const places = await placesOf(t, null);
  await assert.rejects(installPlugin(PROGRAM, null, places), {
    code: "program_unavailable",
    hint: /brew install swiftbar/,
  });
  const xbar = join(places.userHome, "Library/Application Support/xbar/plugins");
  await mkdir(xbar, { recursive: true });
  assert.equal((await installPlugin(PROGRAM, null, places)).path, join(xbar, PLUGIN_FILE));
  const missing = { ...places, defaultsProgram: "/nowhere/defaults" };
  assert.equal((await installPlugin(PROGRAM, null, missing)).changed, false);
});
