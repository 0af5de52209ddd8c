// The driver `fs` with the real mountaineer-fs: the contract of drivers on an SMB server, and its story on a machine with two
// cables. Skipped where `npm run engine -- --fs` has not built it.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileSystemProgram } from "../../src/rclone-release/installed.ts";
import { createFsDriver } from "../../src/shares/drivers/fs/fs.ts";
import { FS_PROGRAM } from "../../src/shares/drivers/fs/program.ts";
import { acknowledged, failures, startProgram } from "../lab/load.ts";
import { cutOnce, switchOnce, untilCarriedOver } from "../lab/moves.ts";
import { playScene, useRig } from "../lab/scene.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { describeDriver, failure, found, limits, PLAIN_NAME } from "../shares/drivers/driver-contract.ts";
import { skip as serverMissing, startBench } from "../shares/drivers/rclone/bench.ts";
import { eventually } from "../support/eventually.ts";

const missing =
  (await fileSystemProgram()) === null
    ? "npm run engine -- --fs has not built it"
    : (serverMissing ?? missingForRootRig());
const FS = { create: createFsDriver, program: FS_PROGRAM };

describeDriver("fs", missing, (t) => startBench(t, FS));

describe("the driver fs on a server", { skip: missing ?? false }, () => {
  test("a wrong password and an unknown share are reported as such, and leave nothing", async (t) => {
    await using bench = await startBench(t, FS);
    const share = bench.share(PLAIN_NAME);
    for (const [change, reason] of [
      [{ password: "wrong" }, "wrong_credentials"],
      [{ shareName: "nowhere" }, "no_such_share"],
    ] as const) {
      const failed = failure(await bench.driver.mount({ ...share, ...change }, "tb", limits()));
      assert.equal(failed.reason, reason, failed.text);
      assert.deepEqual(await found(bench.driver, share), []);
    }
  });
});

describe("the driver fs on two cables", { skip: missing ?? false, timeout: 120_000 }, () => {
  const lab = useRig(["CORE"]);

  test("A10 A8 an appender continues while its cable is cut and the share moves back, and a restart of the daemon leaves the mount", (t) =>
    playScene(
      lab.rig,
      {
        shares: [{ name: "CORE", lines: ['driver = "fs"'] }],
        onRouteChange: "move",
        settings: { auto_failback: false, lsof_recheck: false },
      },
      async (scene) => {
        // By what stays as it is the server is recognized.
        await writeFile(scene.exported("CORE", "kept.txt"), "kept");
        await writeFile(scene.exported("CORE", "lines.txt"), "before\n");
        let monitor = await scene.start("tb");
        await untilCarriedOver(scene, "CORE", "tb");
        const before = { mounts: await scene.mounts(), servers: await scene.servers("CORE") };
        assert.equal(before.servers.length, 1);
        const file = scene.at("CORE", "lines.txt");
        const appender = await startProgram(join(scene.folder, "logs"), "appender", "append-lines.ts", [
          file,
        ]);
        scene.defer(() => appender[Symbol.asyncDispose]());
        const longer = async (): Promise<void> => {
          const soFar = (await appender.lines()).length;
          await eventually(async () => (await appender.lines()).length > soFar + 5);
        };
        await cutOnce(scene, "CORE", "silence");
        await longer();
        await switchOnce(scene, "CORE");
        await longer();
        await monitor.kill9();
        monitor = await scene.start("tb");
        await longer();
        assert.deepEqual({ mounts: await scene.mounts(), servers: await scene.servers("CORE") }, before);
        assert.match((await scene.home.cli(["unsent"])).stdout, /^everything is on its server$/m);
        const lines = await appender.stop();
        assert.deepEqual(failures(lines), []);
        const written = acknowledged(lines, "append").map((line) => `line ${line}\n`);
        t.diagnostic(`${written.length} lines`);
        assert.equal(
          await readFile(scene.exported("CORE", "lines.txt"), "utf8"),
          `before\n${written.join("")}`,
        );
        const end = await scene.home.cli(["unmount"]);
        assert.equal(end.code, 0, end.stderr);
        assert.deepEqual([await scene.mounts(), await scene.servers()], [[], []]);
      },
    ));
});
