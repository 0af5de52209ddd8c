// What is left of the files with a login when the process that wrote them was killed.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createLoginFiles } from "../../../src/shares/server-proof/login-files.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const MODULE = resolve(import.meta.dirname, "../../../src/shares/server-proof/login-files.ts");
// Nothing but its name is asked for.
const CORE = { name: "CORE" } as ShareSpec;

/** Writes a login for the share in another process, which then waits for its end. */
async function startWriter(
  t: TestContext,
  stateFolder: string,
): Promise<{ child: ChildProcess; path: string }> {
  const program = `
    const { createLoginFiles } = await import(${JSON.stringify(MODULE)});
    const files = createLoginFiles(${JSON.stringify(stateFolder)});
    console.log(await files.write({ name: "CORE" }, "tb", "auth", "password = secret"));
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const [path] = await once(createInterface({ input: child.stdout }), "line");
  return { child, path: String(path) };
}

test("A10 a login that a killed process left is removed, and none that is being read", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const files = createLoginFiles(stateFolder);
  const own = await files.write(CORE, "fallback", "conf", "");
  const folder = dirname(own);
  const kept = ["rclone.conf", "server.json", "proof-of-purchase.auth", own.slice(folder.length + 1)];
  for (const name of kept) await writeFile(join(folder, name), "");
  // As 0.1 named them, and one that was being written.
  for (const name of ["proof-tb.auth", "proof-fallback.conf", "proof-tb.auth.new"])
    await writeFile(join(folder, name), "password = secret");
  const { child, path } = await startWriter(t, stateFolder);
  await files.removeLeftovers(silentLogger);
  assert.deepEqual((await readdir(folder)).toSorted(), [...kept, path.slice(folder.length + 1)].toSorted());

  child.kill("SIGKILL");
  await once(child, "exit");
  await files.removeLeftovers(silentLogger);
  assert.deepEqual((await readdir(folder)).toSorted(), kept.toSorted());
});

test("A10 another process that has the killed one's number does not keep its login", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const files = createLoginFiles(stateFolder);
  const own = await files.write(CORE, "tb", "auth", "password = secret");
  const folder = dirname(own);
  await rename(own, own.replace(/-\w+\.auth$/, "-0123456789ab.auth"));
  await files.removeLeftoversOf(CORE);
  assert.deepEqual(await readdir(folder), []);
});

test("A10 a home without shares has nothing to remove, and what cannot be removed is told", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const logger = createRecordingLogger();
  const files = createLoginFiles(stateFolder);
  await files.removeLeftovers(logger);
  await mkdir(join(stateFolder, "mounts", "CORE", "proof-tb.auth", "inside"), { recursive: true });
  await files.removeLeftovers(logger);
  assert.deepEqual(
    logger.lines.map(({ level }) => level),
    ["warn"],
  );
});
