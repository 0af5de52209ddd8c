// That a file is kept by the shared durable writer, which test/runtime/files/durable-file.test.ts stops at each point.
import assert from "node:assert/strict";
import { link, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** No process has it. */
const ENDED_PID = 2_147_483_646;

/** What a writer of that file left that was killed. */
export async function leaveTemporary(path: string): Promise<void> {
  await writeFile(join(dirname(path), `.${basename(path)}.${ENDED_PID}-0123456789ab.tmp`), "torn");
}

export async function assertNoTemporary(folder: string): Promise<void> {
  const names = await readdir(folder);
  assert.deepEqual(
    names.filter((name) => name.endsWith(".tmp")),
    [],
  );
}

/** `write` puts another file in the place of the one at `path`, and sweeps what a killed writer of it left. */
export async function assertReplacedWhole(path: string, write: () => Promise<unknown>): Promise<void> {
  const before = await readFile(path);
  const former = join(dirname(path), "former");
  await link(path, former);
  await leaveTemporary(path);
  await write();
  assert.notDeepEqual(await readFile(path), before);
  assert.deepEqual(await readFile(former), before, "it was written over in its place");
  await rm(former);
  await assertNoTemporary(dirname(path));
}
