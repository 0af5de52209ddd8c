// How much memory process groups have.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { groupMemory } from "../../../src/runtime/process/group-memory.ts";
import { parsePs } from "../../../src/runtime/process/group-memory-darwin.ts";

test("B2 the memory of a group is that of all its processes, and an absent group has none", async (t) => {
  const hold =
    "const held = Buffer.alloc(64 * 1024 * 1024, 1); console.log(held.length); setInterval(() => {}, 1e6);";
  const child = spawn(process.execPath, ["-e", hold], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  const bytes = await groupMemory([child.pid ?? 0]);
  assert.ok(bytes !== null && bytes > 64 * 1024 * 1024 && bytes < 512 * 1024 * 1024, `${bytes}`);
  assert.equal(await groupMemory([]), 0);
  assert.equal(await groupMemory([2 ** 30]), 0);
});

test("B2 on a Mac, `ps` is run for it", () => {
  assert.deepEqual(parsePs("    1  9000\n 4711 84512\nPGID RSS\n"), [
    [1, 9_000],
    [4_711, 84_512],
  ]);
});
