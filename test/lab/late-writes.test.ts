// What an abandoned route still holds of an older write never lands on a newer one.
import assert from "node:assert/strict";
import { open, stat, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { untilServedOver } from "./moves.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

const ALL = process.env["MOUNTAINEER_OPEN_WORK"] === "all";
const ROUNDS = ALL ? 5 : 1;
/** A connection in silence sends again after 0.2, 0.4, 0.8, … s: within this time it has, more than once. */
const AFTER_SILENCE_MS = ALL ? 60_000 : 15_000;
const BYTES = 96 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** So much is on its way when the silence begins: a part of the file, not all of it. */
const SENT_BYTES = 8 * 1024 * 1024;

describe("late writes", { skip: missingForRootRig() ?? false, timeout: 60_000 + ROUNDS * 240_000 }, () => {
  const lab = useRig(["LATE"], { oneServer: true });

  test("A10 silence in the middle of a large write: data written over the new route stays when the old one responds again", () =>
    playScene(
      lab.rig,
      { shares: ["LATE"], settings: { auto_failback: false, lsof_recheck: false }, onRouteChange: "move" },
      async (scene) => {
        const file = scene.exported("LATE", "large.bin");
        await writeFile(file, Buffer.alloc(BYTES, "before"));
        await scene.start("tb");
        for (let round = 0; round < ROUNDS; round++) {
          await untilServedOver(scene, "LATE", "tb");
          const widen = await scene.rig.cut.narrow("tb");
          const sentBefore = await sentOver(scene);
          const older = scene.write("LATE", "large.bin", Buffer.alloc(BYTES, `old${round}`));
          await eventually(async () => (await sentOver(scene)) - sentBefore > SENT_BYTES, 20_000, 20);
          const unsilence = await scene.rig.cut.silence("tb");
          const { size } = await stat(file);
          await widen();
          await untilServedOver(scene, "LATE", "fallback");
          await older;
          const newer = Buffer.alloc(BYTES, `new${round}`);
          await scene.write("LATE", "large.bin", newer);
          await eventually(() => holds(file, newer), 120_000, 250);
          await unsilence();
          const untilMs = performance.now() + AFTER_SILENCE_MS;
          while (performance.now() < untilMs) {
            assert.ok(await holds(file, newer), "an older write has landed on a newer one");
            await pause(1000);
          }
          assert.ok(size < BYTES, "the silence came after the older write");
          await scene.home.cli(["switch", "--share", "LATE", "--to", "tb"]);
        }
      },
    ));
});

async function sentOver(scene: Scene): Promise<number> {
  const report = await scene.home.glance();
  return report?.shares[0]?.moves?.bytes_to_server ?? 0;
}

async function holds(file: string, content: Buffer): Promise<boolean> {
  await using handle = await open(file);
  if ((await handle.stat()).size !== content.length) return false;
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < content.length; at += CHUNK_BYTES) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
    if (!chunk.subarray(0, bytesRead).equals(content.subarray(at, at + bytesRead))) return false;
  }
  return true;
}
