// What a share wrote goes to the share on the server that it was written for, whatever the configuration names meanwhile:
// another share of that server, the same in other letters, or a new name of one's own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { UnsentServer } from "../../src/api/contract/contract.ts";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { startSimulatedCable } from "../../src/demo/stage/simulated-cable.ts";
import { jsonObject } from "../../src/runtime/text/json-object.ts";
import { endCarried, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { missingForTwoServers } from "../shares/server-proof/two-servers.ts";
import type { Monitor } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { killAll, rclonesOf, signalIfRuns } from "../support/processes.ts";
import { isMounted } from "./servers-scene.ts";

const missing = await missingForTwoServers();
const FILE = "precious.txt";

interface Named {
  readonly name: string;
  readonly shareName: string;
}

async function namesScene(t: TestContext) {
  const ends = new AsyncDisposableStack();
  const own = process.pid.toString(36);
  const [one, two] = [`one-${own}`, `two-${own}`];
  const rig = ends.use(await startPlainRig({ shares: [one, two], netbiosName: "NAS" }));
  for (const share of [one, two]) await writeFile(join(rig.exportPath(share), `${share}.txt`), share);
  const cable = ends.use(
    await startSimulatedCable({ host: "127.0.0.5", targetHost: "127.0.0.1", targetPort: rig.serverPort }),
  );
  const home = await liveHome(t, {
    env: { RIG_PASSWORD: rig.password },
    before: () => ends.disposeAsync(),
  });
  const configure = (...shares: readonly Named[]): Promise<void> =>
    home.writeConfig(
      [
        `[global]\nshares_root = "${join(home.folder, "Shares")}"\ncheck_interval_secs = 0.5`,
        "outage_patience_secs = 20",
        `[sync]\n${QUICK_SYNC}`,
        ...shares.map(
          ({ name, shareName }) =>
            `[[shares]]\nname = "${name}"\nshare_name = "${shareName}"\nthunderbolt_host = "${cable.host}:${cable.port}"\nusername = "${rig.username}"\npassword = "\${RIG_PASSWORD}"`,
        ),
      ].join("\n"),
    );
  const monitors: Monitor[] = [];
  const unsent = async (): Promise<readonly UnsentServer[]> =>
    (await (await home.daemon()).call("unsent", { what: "show" }, AbortSignal.timeout(20_000))).servers;
  const mounted = (name: string) => untilShareOf(home, name, "mounted", isMounted, 60_000);
  /** Also what is mounted for the new name: the route is back only once the edit is known. */
  const rename = async (...shares: readonly Named[]): Promise<void> => {
    const before = (await home.logged("config.applied")).length;
    await configure(...shares);
    await eventually(async () => (await home.logged("config.applied")).length > before);
    await cable.setMode("pass");
  };
  return {
    home,
    rename,
    one,
    two,
    cable,
    configure,
    unsent,
    mounted,
    on: (share: string): Promise<readonly string[]> => readdir(rig.exportPath(share)),
    text: (share: string): Promise<string> => readFile(join(rig.exportPath(share), FILE), "utf8"),
    /** rclone has it, and the server not: rclone and its route have ended. */
    async leaveUnsent(name: string): Promise<void> {
      const file = join(home.folder, "Shares", name, FILE);
      await promisify(execFile)("sh", ["-c", `printf 'of one' > '${file}'`], { timeout: 10_000 });
      await cable.setMode("refuse");
      // Its note is written a moment after the file is closed.
      await eventually(async () => (await unsent()).some(({ files }) => files[0]?.bytes === 6));
      await eventually(async () => {
        const pids = await rclonesOf(home.home);
        for (const pid of pids) signalIfRuns(pid, "SIGSTOP");
        const isWhole = await isNoteWhole(join(home.home, "mounts", name));
        if (isWhole) killAll(pids);
        else for (const pid of pids) signalIfRuns(pid, "SIGCONT");
        return isWhole;
      });
    },
    /** In a process of its own, as the mount may hang. */
    sh: async (script: string): Promise<string> =>
      (await promisify(execFile)("sh", ["-c", script], { timeout: 10_000, killSignal: "SIGKILL" })).stdout,
    async start() {
      monitors.push(await home.start());
    },
    [Symbol.asyncDispose]: () => endCarried(home, ["CORE", "MAIN"], monitors),
  };
}

/** A kill in the middle of rclone's writing of the note would tear it, and then the file is set aside. */
async function isNoteWhole(shareFolder: string): Promise<boolean> {
  const names = await readdir(shareFolder, { recursive: true });
  const note = names.find((path) => path.includes("vfsMeta") && path.endsWith(FILE));
  return note !== undefined && jsonObject(await readFile(join(shareFolder, note), "utf8")) !== null;
}

/** A file of the share `one`, which is CORE here, is not sent; nothing serves it. */
async function unsentScene(t: TestContext) {
  await using ends = new AsyncDisposableStack();
  const scene = ends.use(await namesScene(t));
  await scene.configure({ name: "CORE", shareName: scene.one });
  await scene.start();
  await scene.mounted("CORE");
  await scene.leaveUnsent("CORE");
  ends.move();
  return scene;
}

/** And the share is called MAIN here now. */
async function renamedScene(t: TestContext) {
  await using ends = new AsyncDisposableStack();
  const scene = ends.use(await unsentScene(t));
  await scene.rename({ name: "MAIN", shareName: scene.one });
  await scene.mounted("MAIN");
  ends.move();
  return scene;
}

describe("servers, by other names", { skip: missing ?? false, timeout: 300_000 }, () => {
  test("A13 pending uploads of one share of a NAS are not sent to another share of it, and are sent when that is named again", async (t) => {
    await using scene = await unsentScene(t);
    const { configure, one, two } = scene;
    await scene.rename({ name: "CORE", shareName: two });
    await eventually(
      async () => (await scene.sh(`ls '${scene.home.folder}/Shares/CORE'`)).includes(`${two}.txt`),
      60_000,
      200,
    );
    await untilShareOf(scene.home, "CORE", "told what waits", ({ conditions }) =>
      JSON.stringify(conditions).includes(FILE),
    );
    assert.deepEqual(await scene.on(one), [`${one}.txt`]);
    assert.deepEqual(await scene.on(two), [`${two}.txt`]);
    await configure({ name: "CORE", shareName: one });
    await eventually(async () => (await scene.text(one)) === "of one", 60_000, 200);
    assert.deepEqual(await scene.on(two), [`${two}.txt`]);
  });

  test("A13 pending uploads of a share are also sent when it is named in other letters", async (t) => {
    await using scene = await namesScene(t);
    const { configure, one } = scene;
    await configure({ name: "CORE", shareName: one });
    await scene.start();
    await scene.mounted("CORE");
    await scene.leaveUnsent("CORE");
    await scene.rename({ name: "CORE", shareName: one.toUpperCase() });
    await scene.mounted("CORE");
    await eventually(async () => (await scene.text(one)) === "of one", 30_000, 200).catch(async (error) => {
      t.diagnostic(JSON.stringify(await scene.unsent()));
      t.diagnostic(JSON.stringify((await scene.mounted("CORE")).conditions));
      throw error;
    });
  });

  test("A13 two shares whose servers' names are swapped send nothing to each other", async (t) => {
    await using scene = await namesScene(t);
    const { configure, one, two } = scene;
    await configure({ name: "CORE", shareName: one }, { name: "MAIN", shareName: two });
    await scene.start();
    await scene.mounted("CORE");
    await scene.mounted("MAIN");
    await scene.leaveUnsent("CORE");
    await scene.rename({ name: "CORE", shareName: two }, { name: "MAIN", shareName: one });
    await scene.mounted("CORE");
    await scene.mounted("MAIN");
    assert.deepEqual(await scene.on(two), [`${two}.txt`]);
    await configure({ name: "CORE", shareName: one }, { name: "MAIN", shareName: two });
    await eventually(async () => (await scene.text(one)) === "of one", 60_000, 200);
    assert.deepEqual(await scene.on(two), [`${two}.txt`]);
  });

  test("A13 a share that gets a new personal name leaves its pending uploads where they are reported", async (t) => {
    await using scene = await renamedScene(t);
    await eventually(async () => (await scene.home.condition("unsent_unconfigured")) !== null, 60_000, 200);
    const [waiting] = await scene.unsent();
    assert.deepEqual([waiting?.share, waiting?.files.map(({ path }) => path)], ["CORE", [FILE]]);
    const shown = await scene.home.cli(["unsent", "--share", "CORE"]);
    assert.deepEqual([shown.code, shown.stdout.includes(FILE)], [0, true], shown.stderr);
    const decided = await scene.home.cli(["unsent", "--share", "CORE", "--set-aside"]);
    assert.deepEqual([decided.code === 0, decided.stderr.includes(waiting?.folder ?? "?")], [false, true]);
    assert.match(decided.stderr, /CORE is no longer configured/);
  });

  test("A13 A15 a share that is renamed and renamed back is mounted from its own cache, and sends its pending uploads", async (t) => {
    await using scene = await renamedScene(t);
    const { configure, one } = scene;
    await configure({ name: "CORE", shareName: one });
    await scene.mounted("CORE");
    await eventually(async () => (await scene.text(one)) === "of one", 60_000, 200).catch(async (error) => {
      t.diagnostic(JSON.stringify(await scene.unsent()));
      t.diagnostic(JSON.stringify(await scene.mounted("CORE")));
      throw error;
    });
  });
});
