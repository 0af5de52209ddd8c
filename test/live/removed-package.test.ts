// A daemon goes on, with all that it can do, after its package and the Node that runs it were removed.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, link, mkdir, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { currentBuild } from "../../scripts/current-build.ts";
import { createTestHome, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LINUX_ALONE } from "../support/where.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TOOLS_SERVER = join(ROOT, "test/docs/programs/tools-server.mjs");

async function start(t: TestContext) {
  const folder = await temporaryFolder(t);
  const root = join(folder, "package");
  const build = currentBuild(ROOT);
  assert.ok(build !== null);
  await mkdir(join(root, "dist"), { recursive: true });
  await cp(join(ROOT, "bin"), join(root, "bin"), { recursive: true });
  await cp(build, join(root, "dist", basename(build)), { recursive: true });
  await writeFile(join(root, "dist/current"), `${basename(build)}\n`);
  const node = join(root, "dist/node");
  await link(process.execPath, node).catch(() => cp(process.execPath, node));
  const port = await freePort();
  const backend = (name: string): string =>
    `[backends.${name}]\ncommand = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(TOOLS_SERVER)}]\nstart = "on-demand"\n`;
  const text = (...more: readonly string[]): string =>
    `[server]\nport = ${port}\n[scripts]\nenabled = true\n[conflict_resolution]\nstrategy = "prefix"\n${["first", ...more].map(backend).join("")}`;
  const options = { home: join(folder, "home"), config: text(), launcher: join(root, "bin/mountaineer") };
  const home = await createTestHome(options);
  const monitor = await home.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const isUp = (phase: string): boolean => phase === "Asleep" || phase === "Ready";
  await eventually(async () => (await home.glance())?.backends?.every((one) => isUp(one.phase)));
  /** The copy of the program in the home. */
  const copy = join(home.home, "program", String(monitor.pid));
  return { home, root, monitor, port, copy, text };
}

/** Commands are another package's, as after an upgrade. */
async function said(home: TestHome, ...args: readonly string[]): Promise<string> {
  const other = await createTestHome({ home: home.home });
  const { code, stdout, stderr } = await other.cli(args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

test("B11 a daemon whose package and Node are removed starts servers, reloads, edits, runs scripts and shows its page", {
  skip: LINUX_ALONE,
}, async (t) => {
  const { home, root, monitor, port, copy, text } = await start(t);
  await rm(root, { recursive: true });
  assert.equal((await said(home, "call", "first_echo", '{"message": "hello"}')).trimEnd(), "hello");
  await home.writeConfig(text("second"));
  await eventually(async () => (await said(home, "tools", "list")).includes("second_echo"));
  assert.equal((await said(home, "call", "second_echo", '{"message": "again"}')).trimEnd(), "again");
  await said(home, "config", "set", "audit.enabled", "true");
  assert.match(await said(home, "call", "run_script", '{"script": "return 6 * 7"}'), /42/);
  const page = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(20_000) });
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<html/);
  const status = await home.glance();
  assert.equal(status?.global.pid, monitor.pid);
  assert.deepEqual(status?.global.conditions, []);
  assert.ok(existsSync(copy));
  await monitor.stop();
  assert.equal(existsSync(copy), false, "the copy goes with the daemon");
});

test("E2 copies in the home are not files of the package, and only what a daemon copied is removed", {
  skip: LINUX_ALONE,
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const [dead, documents] = ["999999991", join(dirname(home), "documents")];
  const theirs = ["999999992/main.js", "999999993/notes.txt", "notes/mine.txt"].map((name) =>
    join(home, "program", name),
  );
  for (const file of [...theirs, join(home, "program", dead, "main.js"), join(documents, "main.js")]) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, "");
  }
  await writeFile(join(home, "program/999999993/copied"), "main.js");
  await writeFile(join(home, "program", dead, "copied"), "main.js");
  await symlink(documents, join(home, "program/999999994"));
  const daemon = await createTestHome({ home, config: "" });
  const monitor = await daemon.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const copy = join(home, "program", String(monitor.pid));
  const build = currentBuild(ROOT);
  assert.ok(build !== null);
  await eventually(() => existsSync(join(copy, "main.js")));
  for (const name of await readdir(build))
    if (existsSync(join(copy, name)))
      assert.notEqual((await stat(join(copy, name))).ino, (await stat(join(build, name))).ino, name);
  assert.equal(existsSync(join(home, "program", dead)), false);
  for (const file of [...theirs, join(documents, "main.js")]) assert.ok(existsSync(file), file);
  await monitor.stop();
  await rm(join(home, "program"), { recursive: true });
  await symlink(documents, join(home, "program"));
  const second = await daemon.startMonitor();
  t.after(() => second[Symbol.asyncDispose]());
  await eventually(async () =>
    (await daemon.glance())?.global.conditions.some(({ code }) => code === "program_not_kept"),
  );
  await second.stop();
  assert.deepEqual(await readdir(documents), ["main.js"]);
});

test("B11 a copy of the program that another program has changed is not run, and a condition reports it", {
  skip: LINUX_ALONE,
}, async (t) => {
  const { home, root, copy, text } = await start(t);
  const planted = join(home.home, "planted");
  await rm(root, { recursive: true });
  for (const name of await readdir(copy)) {
    if (!/\.(?:js|sh)$/.test(name)) continue;
    await rm(join(copy, name));
    const code = `process.getBuiltinModule("node:fs").writeFileSync(${JSON.stringify(planted)}, "");\n`;
    await writeFile(join(copy, name), name.endsWith(".sh") ? `touch '${planted}'\n` : code);
  }
  const other = await createTestHome({ home: home.home });
  await home.writeConfig(text("second"));
  const reload = await other.cli(["reload"]);
  assert.notEqual(reload.code, 0);
  assert.match(reload.stderr, /is not the file that this daemon started with/);
  assert.notEqual((await other.cli(["call", "run_script", '{"script": "return 1"}'])).code, 0);
  assert.equal(existsSync(planted), false);
  const codes = (await home.glance())?.global.conditions.map(({ code }) => code);
  assert.ok(codes?.includes("program_changed"), String(codes));
});
