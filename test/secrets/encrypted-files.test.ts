import assert from "node:assert/strict";
import { copyFile, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import {
  ENCRYPTION_KEY,
  type EncryptedFiles,
  openEncryptedFiles,
} from "../../src/secrets/encrypted-files.ts";
import { openSecretStore, type SecretStore } from "../../src/secrets/secret-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { signal } = new AbortController();

async function opened(t: TestContext): Promise<{
  readonly folder: string;
  readonly store: SecretStore;
  readonly open: () => EncryptedFiles;
}> {
  const home = await temporaryFolder(t);
  const store = openSecretStore({ home, clock: systemClock, environment: {}, keyring: null });
  const folder = join(home, "sealed");
  return { folder, store, open: () => openEncryptedFiles({ folder, store, clock: systemClock }) };
}

test("what is sealed is read by whoever has the home's key, and by nobody who has the file alone", async (t) => {
  const { folder, store, open } = await opened(t);
  const secret = `a token ${"long ".repeat(2_000)}`;
  await open().write("one", secret, signal);
  assert.equal(await open().read("one", signal), secret);
  assert.equal(await open().read("two", signal), null);
  assert.deepEqual([await open().has("one"), await open().has("two")], [true, false]);
  const text = await readFile(join(folder, "one.json"), "latin1");
  assert.ok(!text.includes("token"));
  assert.equal((await stat(join(folder, "one.json"))).mode & 0o077, 0);
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    [ENCRYPTION_KEY],
  );
});

test("a file that was changed, put in another's place, or lost its key is told, and never opened", async (t) => {
  const { folder, store, open } = await opened(t);
  await open().write("one", "first", signal);
  await copyFile(join(folder, "one.json"), join(folder, "two.json"));
  await assert.rejects(open().read("two", signal), never);
  const path = join(folder, "one.json");
  const text = await readFile(path, "utf8");
  for (const changed of [
    text.replace(/.{4}"}/, 'AAA="}'),
    '{"version":1,"sealed":"AA"}',
    '{"version":2}',
    "{",
  ]) {
    await writeFile(path, changed);
    await assert.rejects(open().read("one", signal), never, changed);
  }
  await writeFile(path, text);
  assert.equal(await open().read("one", signal), "first");
  await store.remove(ENCRYPTION_KEY, signal);
  await assert.rejects(open().read("one", signal), never);
});

test("many that write first agree on one key", async (t) => {
  const { open } = await opened(t);
  const names = Array.from({ length: 8 }, (_, at) => `n${at}`);
  await Promise.all(names.map((name) => open().write(name, name, signal)));
  const reader = open();
  for (const name of names) assert.equal(await reader.read(name, signal), name);
});

test("one at a time works on a name, and waits for its turn", async (t) => {
  const { open } = await opened(t);
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside++;
    most = Math.max(most, inside);
    await systemClock.sleep(5);
    inside--;
  };
  await Promise.all(Array.from({ length: 6 }, () => open().alone("one", 10_000, signal, work)));
  assert.equal(most, 1);
  await open().alone("one", 10_000, signal, async () => {
    await assert.rejects(open().alone("one", 50, signal, work), { code: "lock_held" });
    await open().alone("two", 50, signal, work);
  });
});

function never(error: unknown): boolean {
  assert.ok(error instanceof MountaineerError, String(error));
  assert.equal(error.code, "secret_unavailable");
  assert.equal(error.retry, "never");
  return true;
}
