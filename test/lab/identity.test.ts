// A server that was replaced: no open file is ever moved from one to the other.
import assert from "node:assert/strict";
import { mkdir, rename, utimes, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { startProgram } from "./load.ts";
import { untilServedOver } from "./moves.ts";
import { BLOCK_BYTES, writeKnownFile } from "./programs/known-bytes.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

const BLOCKS = (16 * 1024 * 1024) / BLOCK_BYTES;
const TOLD_MS = 30_000;
const PATIENCE_SECS = 10;
const SETTINGS = { auto_failback: false, lsof_recheck: false };

describe("identity", { skip: missingForRootRig() ?? false, timeout: 600_000 }, () => {
  const lab = useRig(["ONE"]);

  test("A13 a server that was replaced under a mount while the daemon was stopped: no open file continues with its bytes, and a person lets it in", (t) =>
    playScene(
      lab.rig,
      {
        shares: ["ONE"],
        settings: { ...SETTINGS, outage_patience_secs: PATIENCE_SECS },
        onRouteChange: "move",
      },
      async (scene) => {
        await writeKnownFile(scene.exported("ONE", "large.bin"), BLOCKS, "first");
        await writeFile(scene.exported("ONE", "kept.txt"), "the first server");
        // What was written in the same second as its copy could not be told from it.
        for (const name of ["large.bin", "kept.txt"]) await utimes(scene.exported("ONE", name), 1_000, 1_000);
        const monitor = await scene.start("tb");
        await untilServedOver(scene, "ONE", "tb");
        await using reader = await startReader(scene, "ONE");
        process.kill(monitor.pid, "SIGSTOP");
        await Promise.all([scene.rig.killServerOn("tb"), scene.rig.killServerOn("fallback")]);
        await rename(scene.exported("ONE"), `${scene.exported("ONE")}-old`);
        await mkdir(scene.exported("ONE"));
        await writeKnownFile(scene.exported("ONE", "large.bin"), BLOCKS, "second");
        await writeFile(scene.exported("ONE", "kept.txt"), "the second server");
        await Promise.all([scene.rig.startServerOn("tb"), scene.rig.startServerOn("fallback")]);
        process.kill(monitor.pid, "SIGCONT");
        const told = await untilTold(scene, "ONE");
        t.diagnostic(told.conditions.map(({ code, title }) => `${code}: ${title}`).join("; "));
        await untilBroken(reader);
        const newServer = ["mount", "--share", "ONE", "--new-server"] as const;
        assert.notEqual((await scene.home.cli([...newServer])).code, 0, "a file of the first one is open");
        const lines = await reader.stop();
        await eventually(async () => (await scene.home.cli([...newServer])).code === 0, TOLD_MS);
        await eventually(async () => (await scene.read("ONE", "kept.txt")) === "the second server", TOLD_MS);
        assert.ok(!lines.some(({ error }) => error?.includes("wrong bytes")), "bytes of another server");
      },
    ));
});

function startReader(scene: Scene, share: string): ReturnType<typeof startProgram> {
  return startProgram(`${scene.folder}/logs`, "reader", "read-large-file.ts", [
    scene.at(share, "large.bin"),
    "first",
  ]);
}

async function untilTold(scene: Scene, name: string): Promise<ShareStatus> {
  return scene.home.untilShare(
    name,
    ({ conditions }) => conditions.some(({ code }) => code === "different_servers"),
    TOLD_MS,
  );
}

/** The open file gives an error, and never another server's bytes. */
async function untilBroken(reader: Awaited<ReturnType<typeof startReader>>): Promise<void> {
  const broken = await eventually(
    async () => (await reader.lines()).find(({ error }) => error !== null),
    TOLD_MS,
  );
  assert.doesNotMatch(broken.error ?? "", /wrong bytes/);
}
