// One home for each mount path: the second one is told who has it, and gets it when the first is gone, however it went.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { createMountClaims } from "../../../src/shares/mounts/mount-claims.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const CORE = "/mnt/CORE";

describe("a mount path", () => {
  test("A13 belongs to one home at a time, and goes to the next when that lets go of it", async (t) => {
    const folder = await temporaryFolder(t);
    const logger = createRecordingLogger();
    const first = createMountClaims({ home: "/home/one", logger, folder });
    const second = createMountClaims({ home: "/home/two", logger, folder });
    const successor = createMountClaims({ home: "/home/one", logger, folder });
    assert.equal(await first.claim(CORE), null);
    assert.equal(await first.claim(CORE), null, "asked with each look");
    assert.equal(await second.claim(CORE), "/home/one");
    assert.equal(await second.claim("/mnt/DATA"), null);
    assert.equal(await successor.claim(CORE), null, "the same home's next daemon waits for nobody");
    await first.release(CORE);
    assert.equal(await second.claim(CORE), null);
    assert.equal(await first.claim(CORE), "/home/two");
    await Promise.all([first, second, successor].map((claims) => claims[Symbol.asyncDispose]()));
    assert.deepEqual(await readdir(folder), [], "nothing is left behind");
    assert.deepEqual(logger.lines, []);
  });

  test("A13 is free at once when the daemon that had it is killed", async (t) => {
    const folder = await temporaryFolder(t);
    const module = path.resolve(import.meta.dirname, "../../../src/shares/mounts/mount-claims.ts");
    const script = `
      const { createMountClaims } = await import(${JSON.stringify(module)});
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const claims = createMountClaims({ home: "/home/one", logger, folder: ${JSON.stringify(folder)} });
      await claims.claim(${JSON.stringify(CORE)});
      console.log("has it");
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    const second = createMountClaims({ home: "/home/two", logger: createRecordingLogger(), folder });
    assert.equal(await second.claim(CORE), "/home/one");
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(async () => (await second.claim(CORE)) === null);
    await second[Symbol.asyncDispose]();
  });

  test("A13 that nobody can lock is used all the same, and that is said once", async (t) => {
    const logger = createRecordingLogger();
    const folder = path.join(await temporaryFolder(t), "missing");
    const claims = createMountClaims({ home: "/home/one", logger, folder });
    assert.equal(await claims.claim(CORE), null);
    assert.equal(await claims.claim(CORE), null);
    assert.equal(logger.lines.length, 1);
  });
});
