// A real daemon whose home is moved or removed under it: it ends, says why, and makes nothing at the old path.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, readlink, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { watchHome } from "../../src/daemon/home-watch.ts";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { type Running, runProcess, startCommand } from "../cli/command-line.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { stopProcess } from "../support/stop-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const KEEPER = join(import.meta.dirname, "../../bin/service-keeper.sh");

async function start(t: TestContext, home: string, within: readonly string[] = []): Promise<Running> {
  const monitor = startCommand(["monitor"], { home, within });
  t.after(async () => {
    if (monitor.child.exitCode !== null || monitor.child.signalCode !== null) return;
    monitor.child.kill("SIGCONT");
    monitor.child.kill();
    await once(monitor.child, "exit");
  });
  await eventually(async () => monitor.child.exitCode !== null || (await connectToDaemon(home)) !== null);
  await eventually(async () =>
    /"active_interface": ?"tb"/.test(await readFile(join(home, "state.json"), "utf8").catch(() => "")),
  );
  return monitor;
}

async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const home = join(folder, "above", "home");
  const [roots, disk] = [join(folder, "roots"), join(folder, "disk")];
  await mkdir(home, { recursive: true, mode: 0o700 });
  await mkdir(disk);
  const paths = `thunderbolt_path = "${disk}"\nfallback_path = "${folder}"`;
  const config = `[global]\nshares_root = "${roots}"\nmount_root = "${roots}/mounts"\n[[shares]]\nname = "S"\ndriver = "local"\n${paths}\n`;
  await writeFile(join(home, "config.toml"), config, { mode: 0o600 });
  const link = (): Promise<string | null> => readlink(join(roots, "mounts", "S")).catch(() => null);
  return { folder, home, disk, link };
}

async function contentOf(folder: string): Promise<readonly string[] | string | null> {
  return readdir(folder).catch(systemErrorCode);
}

const LOSSES: Readonly<
  Record<string, { readonly lose: (home: string, to: string) => Promise<void>; readonly left: unknown }>
> = {
  moved: { lose: rename, left: "ENOENT" },
  // Again if the daemon has saved a file meanwhile.
  removed: { lose: (home) => rm(home, { recursive: true, maxRetries: 10 }), left: "ENOENT" },
  "moved with the folder above": {
    lose: async (home, to) => {
      await mkdir(to);
      await rename(join(home, ".."), join(to, "above"));
    },
    left: "ENOENT",
  },
  replaced: {
    lose: async (home, to) => {
      await rename(home, to);
      await mkdir(home, { mode: 0o700 });
    },
    left: [],
  },
};

for (const [how, { lose, left }] of Object.entries(LOSSES)) {
  test(`a home that is ${how} ends its daemon, which leaves the mounts and makes nothing there`, async (t) => {
    const { folder, home, disk, link } = await scene(t);
    const { child, ended } = await start(t, home);
    await eventually(async () => (await link()) === disk);
    // What is still to be saved of the mount is saved in the home, and not at its path within the next second.
    await eventually(async () =>
      (await readFile(join(home, "state.json"), "utf8")).includes('"last_switch_at": "'),
    );
    await lose(home, join(folder, "elsewhere"));
    await once(child, "exit");
    await ends(ended, 6, null, /mountaineer: \S+home, the home of this daemon, was moved or removed/);
    assert.deepEqual(await contentOf(home), left);
    assert.equal(await link(), disk);
    for (const [args, said] of [
      [["status"], /no daemon runs/],
      [["down"], /no daemon ran for this home/],
    ] as const) {
      await ends(runProcess(args, { home }), 0, said);
      assert.deepEqual(await contentOf(home), left);
    }
    if (how === "moved")
      assert.match(await readFile(join(folder, "elsewhere", "mountaineer.log"), "utf8"), /moved or removed/);
  });
}

test("a home that was removed is no longer there for its daemon, also if another one is made at its path", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  await using watch = await watchHome(home, createManualClock(), () => {});
  assert.equal(await watch.isThere(), true);
  await rm(home, { recursive: true });
  assert.equal(await watch.isThere(), false);
  await mkdir(home);
  assert.equal(await watch.isThere(), false);
});

test("at the new place of a moved home no second daemon starts while the first one lives", async (t) => {
  const { folder, home } = await scene(t);
  const { child, ended } = await start(t, home);
  await stopProcess(child.pid ?? assert.fail());
  const now = join(folder, "now");
  await rename(home, now);
  await ends(runProcess(["monitor"], { home: now }), 4, null, new RegExp(`already runs .*pid ${child.pid}`));
  child.kill("SIGCONT");
  assert.equal((await ended).code, 6);
  await start(t, now);
});

test("a home that is moved away and returns keeps its daemon", async (t) => {
  const { folder, home } = await scene(t);
  const { child, ended } = await start(t, home);
  await stopProcess(child.pid ?? assert.fail());
  await rename(home, join(folder, "away"));
  await rename(join(folder, "away"), home);
  child.kill("SIGCONT");
  assert.equal((await runProcess(["status"], { home })).code, 0);
  child.kill();
  assert.equal((await ended).code, 0);
});

test("a service does not re-create its home, and runs once it is back", async (t) => {
  const { folder, home } = await scene(t);
  await rename(home, join(folder, "away"));
  const { code, stderr } = await runProcess(["monitor"], { home, within: ["/bin/sh", KEEPER] });
  assert.deepEqual([code, await contentOf(home)], [6, "ENOENT"], stderr);
  await rename(join(folder, "away"), home);
  const { child, ended } = await start(t, home, ["/bin/sh", KEEPER]);
  await rename(home, join(folder, "away"));
  await once(child, "exit");
  assert.equal((await ended).code, 6);
});
