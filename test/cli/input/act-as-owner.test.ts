// Root's commands in a user's home, with real users: nothing there becomes root's, and the user's daemon still starts.
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, chown, lstat, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing } from "../../sync/programs.ts";
import { type Running, runProcess, startCommand } from "../command-line.ts";

const NOBODY = 65_534;
/** An id of no user, as that of a container's volume. */
const UNKNOWN = 21_200;
const CONFIG = `[sync]\ndebounce = 0.1\n`;

async function homeOf(t: TestContext, uid: number): Promise<string | null> {
  const missing = await programMissing("setpriv");
  if (missing !== null || process.getuid?.() !== 0) {
    t.skip(missing ?? "needs root, to be another user");
    return null;
  }
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(home, "config.toml"), CONFIG, { mode: 0o600 });
  for (const path of [folder, home, join(home, "config.toml")]) await chown(path, uid, uid);
  return home;
}

async function stop({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, "exit");
}

async function rootsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const owners = await Promise.all(
    names.map(async (name) => ({ name, ...(await lstat(join(folder, name))) })),
  );
  return owners.filter(({ uid }) => uid === 0).map(({ name }) => name);
}

const COMMANDS: readonly {
  readonly args: readonly string[];
  readonly input?: string;
  readonly code?: number;
}[] = [
  { args: ["status"] },
  { args: ["config", "set", "sync.debounce", "0.2"] },
  { args: ["secret", "set", "s", "--in", "file"], input: "value\n" },
  { args: ["reconcile"] },
  { args: ["approve", "--list"] },
  { args: ["doctor"] },
  { args: ["monitor"], code: 1 },
  { args: ["monitor", "--interval", "1"], code: 1 },
];

const OWNERS = [NOBODY, UNKNOWN];

test("root acts as the user who owns the home, and the user's daemon starts afterwards", async (t) => {
  for (const uid of OWNERS) {
    const home = await homeOf(t, uid);
    if (home === null) return;
    const absent = { HOME: "/root", MOUNTAINEER_HOME: join(home, "none-yet") };
    for (const env of uid === NOBODY ? [{ HOME: "/root" }, absent] : [{ HOME: "/root" }]) {
      for (const { args, input, code = 0 } of COMMANDS) {
        const ran = await runProcess(args, { home, env, ...(input === undefined ? {} : { input }) });
        assert.deepEqual(await rootsIn(home), [], `${args}: ${ran.stderr}`);
        if (env !== absent) assert.equal(ran.code, code, `${args}: ${ran.stderr}`);
      }
    }
    const within = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const monitor = startCommand(["monitor"], { home, within });
    t.after(() => stop(monitor));
    const { call } = (await eventually(() => connectToDaemon(home))) ?? assert.fail();
    assert.deepEqual((await call("status", null, t.signal)).global.conditions, []);
    for (const { args, input, code = 0 } of COMMANDS) {
      const env = { HOME: "/root" };
      const ran = await runProcess(args, { home, env, ...(input === undefined ? {} : { input }) });
      assert.equal(ran.code, code, `${args}: ${ran.stderr}`);
    }
    assert.deepEqual(await rootsIn(home), []);
    await stop(monitor);
  }
});

test("a daemon of root in a user's home is refused, with the line that runs it as the user", async (t) => {
  const own = String.raw`env MOUNTAINEER_HOME=\S+ \S+/bin/mountaineer monitor --interval 0\.5$`;
  for (const [uid, line] of [
    [NOBODY, `sudo -H -u nobody ${own}`],
    [UNKNOWN, `setpriv --reuid=21200 --regid=21200 --clear-groups ${own}`],
  ] as const) {
    const home = await homeOf(t, uid);
    if (home === null) return;
    const before = await readdir(home);
    const { code, stderr } = await runProcess(["monitor", "--interval", "0.5"], { home });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`hint: ${line}`, "m"));
    assert.deepEqual(await readdir(home), before);
  }
});

test("root stays root in its own home, and where it may not become another user", async (t) => {
  const bounded = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"];
  for (const [uid, within] of [
    [0, []],
    [NOBODY, bounded],
  ] as const) {
    const home = await homeOf(t, uid);
    if (home === null) return;
    await ends(runProcess(["config", "set", "sync.debounce", "0.2"], { home, within }), 0);
    assert.equal((await lstat(join(home, "lock.db"))).uid, 0);
  }
});

test("an id without a user, and without HOME, runs in the home that MOUNTAINEER_HOME names", async (t) => {
  const home = await homeOf(t, UNKNOWN);
  if (home === null) return;
  const user = ["setpriv", `--reuid=${UNKNOWN}`, `--regid=${UNKNOWN}`, "--clear-groups"];
  for (const args of [["status"], ["config", "set", "sync.debounce", "0.2"], ["doctor"], ["up", "--print"]]) {
    const ran = await runProcess(args, { home, within: ["env", "-u", "HOME", ...user] });
    assert.equal(ran.code, 0, `${args}: ${ran.stderr}`);
  }
  const ran = await runProcess(["config", "set", "sync.debounce", "0.2"], {
    home,
    within: ["env", "-u", "HOME", "-u", "MOUNTAINEER_HOME", ...user],
  });
  assert.equal(ran.code, 6, ran.stderr);
  assert.match(ran.stderr, /\/\.mountaineer.*\n.*MOUNTAINEER_HOME/);
});
