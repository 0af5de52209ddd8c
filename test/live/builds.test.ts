// A daemon goes on, with all that it can do, while its package is built anew and its node_modules are taken away.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type LiveHome, liveHome } from "./live-home.ts";
import { type PackageCopy, packageCopy } from "./package-copy.ts";

const TOOLS_SERVER = join(import.meta.dirname, "../docs/programs/tools-server.mjs");
const NAMES = '[conflict_resolution]\nstrategy = "prefix"\n';
const SKIP = process.platform === "linux" ? false : "reads /proc";

function backend(name: string): string {
  const [command, server] = [process.execPath, TOOLS_SERVER].map((word) => JSON.stringify(word));
  return `[backends.${name}]\ncommand = ${command}\nargs = [${server}]\n`;
}

interface Scene {
  readonly home: LiveHome;
  readonly copy: PackageCopy;
  /** The folder of the build that the daemon runs. */
  readonly build: string;
  readonly pid: number;
}

async function startScene(t: TestContext): Promise<Scene> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "package-")));
  const copy = await packageCopy(folder);
  const home = await liveHome(t, {
    launcher: copy.launcher,
    before: () => rm(folder, { recursive: true, force: true }),
  });
  const build = await copy.build();
  await home.writeConfig(`${await home.text(["CORE"])}${NAMES}${backend("first")}`);
  const { pid } = await home.start();
  await home.untilMounted("CORE");
  return { home, copy, build, pid };
}

/** The processes that a daemon has started, by what they run. */
async function childrenOf(pid: number, program: string): Promise<number[]> {
  const children: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const [stat, command] = await Promise.all(
      ["stat", "cmdline"].map((file) => readFile(`/proc/${name}/${file}`, "utf8").catch(() => "")),
    );
    const parent = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (parent === String(pid) && command?.includes(program)) children.push(Number(name));
  }
  return children;
}

/** What a daemon loads or starts only when it is asked to. */
async function useEverything({ home, pid }: Scene): Promise<void> {
  const said = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await home.cli(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  // By hand, seen by the watcher and read by a process of its own; the new backend is started.
  await home.writeConfig(
    `${await home.text(["CORE", "MEDIA"])}${NAMES}${backend("first")}${backend("second")}`,
  );
  await home.untilMounted("CORE", "MEDIA");
  await eventually(async () => (await said("tools", "list")).includes("second_echo"));
  assert.equal((await said("call", "second_echo", '{"message": "hello"}')).trimEnd(), "hello");
  // Through the daemon, by the editor that leaves comments alone.
  await said("config", "set", "global.check_interval_secs", "0.2");
  assert.match(await readFile(home.configFile, "utf8"), /check_interval_secs = 0\.2/);
  await said("backends", "restart", "first");
  assert.equal((await said("call", "first_echo", '{"message": "again"}')).trimEnd(), "again");
  await said("switch", "--share", "CORE", "--to", "fallback");
  assert.equal((await home.status()).global.pid, pid);
  for (const command of ["verify", "doctor"]) {
    const { stdout, stderr } = await home.cli([command, "--json"]);
    assert.ok(JSON.parse(stdout), stderr);
  }
  // What has crashed is started again.
  for (const program of ["prober-child", "backend-warden"]) {
    const [before] = await childrenOf(pid, program);
    assert.ok(before, `no ${program} runs`);
    process.kill(before, "SIGKILL");
    await eventually(async () => {
      const now = await childrenOf(pid, program);
      return now.length > 0 && !now.includes(before);
    });
  }
  await home.untilMounted("CORE", "MEDIA");
  // What is missing from a package is never just late, as a prober on a busy machine may be.
  const failures = (await home.log()).filter(
    ({ level, reason }) => level === "error" && !/: no answer in time$/.test(String(reason)),
  );
  assert.deepEqual(failures, []);
}

test("B11 a daemon keeps running while its package is rebuilt repeatedly, and its node_modules are removed, as npm ci does", {
  skip: SKIP,
}, async (t) => {
  const scene = await startScene(t);
  const { copy, build, home, pid } = scene;
  assert.equal(await readlink(`/proc/${pid}/exe`), join(copy.root, "dist/node"));
  const builds: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    await copy.changeSources();
    builds.push(await copy.build());
  }
  assert.equal(new Set([build, ...builds]).size, 5);
  // The oldest is the daemon's; of the others, what nobody uses is removed.
  assert.deepEqual([...(await copy.builds())].sort(), [build, ...builds.slice(-3)].sort());
  await copy.takeNodeModulesAway();
  assert.ok(!existsSync(join(copy.root, "node_modules")));
  await useEverything(scene);
  // A library that only YAML needs.
  const quiet = await createTestHome({ home: join(home.folder, "another home"), launcher: copy.launcher });
  const other = join(quiet.home, "config.yaml");
  await writeFile(other, "# mine\nsync:\n  poll_interval: 1 # s\n");
  const { code, stderr } = await quiet.cli(["config", "set", "sync.poll_interval", "3"]);
  assert.equal(code, 0, stderr);
  assert.equal(await readFile(other, "utf8"), "# mine\nsync:\n  poll_interval: 3 # s\n");
  const { stdout } = await home.cli(["doctor", "--json"]);
  assert.doesNotMatch(stdout, /koffi|polling/i);
});
