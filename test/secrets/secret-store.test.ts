import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { openSecretStore, type SecretStore } from "../../src/secrets/secret-store.ts";
import type { Keyring } from "../../src/secrets/system-keyring.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { memoryKeyring } from "./memory-keyring.ts";

const NEVER = new AbortController().signal;
const LIMITS = { deadlineMs: 1_000 };

async function storeIn(
  t: TestContext,
  keyring: Keyring | null,
): Promise<{ store: SecretStore; home: string }> {
  const home = join(await temporaryFolder(t), "home");
  return { store: openSecretStore({ home, clock: systemClock, environment: {}, keyring }), home };
}

test("without a keyring a value is in a file that only its owner reads, in a home that only its owner enters", async (t) => {
  const { store, home } = await storeIn(t, null);
  assert.deepEqual(await store.list(), []);
  assert.equal(await store.get("nas", LIMITS), null);
  assert.deepEqual(await store.set("nas", "word", null, NEVER), { name: "nas", kept: "file" });
  assert.deepEqual(await store.set("b.2_-", "wörd", null, NEVER), { name: "b.2_-", kept: "file" });
  assert.equal(await store.get("nas", LIMITS), "word");
  assert.deepEqual(await store.list(), [
    { name: "b.2_-", kept: "file" },
    { name: "nas", kept: "file" },
  ]);
  assert.equal((await stat(store.filePath)).mode & 0o777, 0o600);
  assert.equal((await stat(home)).mode & 0o777, 0o700);
  assert.deepEqual(await store.remove("nas", NEVER), { name: "nas", kept: "file" });
  assert.equal(await store.remove("nas", NEVER), null);
  assert.equal(await store.get("nas", LIMITS), null);
});

test("with a keyring the file has the name alone, and a value stays where it is until it is told to move", async (t) => {
  const keyring = memoryKeyring();
  const { store } = await storeIn(t, keyring);
  assert.equal((await store.set("nas", "word", null, NEVER)).kept, "secret-service");
  assert.doesNotMatch(await readFile(store.filePath, "utf8"), /word/);
  assert.equal(await store.get("nas", LIMITS), "word");
  keyring.lockedBecause = "it is locked";
  await assert.rejects(store.get("nas", LIMITS), { code: "secret_unavailable" });
  await assert.rejects(store.set("nas", "new", null, NEVER), /it is locked/);
  assert.equal((await store.set("other", "x", null, NEVER)).kept, "file");
  await assert.rejects(store.set("third", "x", "keyring", NEVER), /it is locked/);
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ["nas", "other"],
  );
  keyring.lockedBecause = null;
  assert.equal((await store.set("other", "y", null, NEVER)).kept, "file", "it stays");
  assert.equal((await store.set("other", "z", "keyring", NEVER)).kept, "secret-service");
  assert.doesNotMatch(await readFile(store.filePath, "utf8"), /"value"/);
  assert.equal((await store.set("nas", "back", "file", NEVER)).kept, "file");
  assert.deepEqual([...keyring.values], [["other", "z"]]);
  assert.equal((await store.remove("other", NEVER))?.kept, "secret-service");
  assert.equal(keyring.values.size, 0);
});

test("a secret of a keyring that this machine does not have says so", async (t) => {
  const { store, home } = await storeIn(t, null);
  await mkdir(home);
  await writeFile(store.filePath, JSON.stringify({ version: 1, secrets: { nas: { kept: "keychain" } } }));
  await assert.rejects(store.get("nas", LIMITS), /the Keychain, which this machine does not have/);
});

test("a file that is not understood is left as it is, and never told", async (t) => {
  const { store, home } = await storeIn(t, null);
  await mkdir(home);
  const texts = [
    "{",
    "[]",
    "null",
    '{"version": 2, "secrets": {"nas": "tell me not"}}',
    '{"version": 1}',
    '{"version": 1, "secrets": null}',
    '{"version": 1, "secrets": "tell me not"}',
    '{"version": 1, "secrets": {"nas": null}}',
    '{"version": 1, "secrets": {"nas": "tell me not"}}',
    '{"version": 1, "secrets": {"nas": {"kept": "file", "value": 7}}}',
    '{"version": 1, "secrets": {"nas": {"kept": "elsewhere", "value": "tell me not"}}}',
    '{"version": 1, "secrets": {"nas": {"kept": "file"}}}',
    '{"version": 1, "secrets": {"../x": {"kept": "file", "value": "tell me not"}}}',
    '{"version": 1, "secrets": {"__proto__": {"kept": "file", "value": "tell me not"}}}',
  ];
  for (const text of texts) {
    await writeFile(store.filePath, text);
    for (const attempt of [
      () => store.list(),
      () => store.get("nas", LIMITS),
      () => store.set("nas", "x", null, NEVER),
    ]) {
      await assert.rejects(attempt, (error) => {
        assert.ok(error instanceof MountaineerError && error.code === "secret_unavailable", text);
        assert.doesNotMatch(`${error.message} ${error.hint}`, /tell me not/);
        return true;
      });
    }
    assert.equal(await readFile(store.filePath, "utf8"), text);
  }
});

test("a file that others could read is closed with the next change", async (t) => {
  const { store } = await storeIn(t, null);
  await store.set("nas", "word", null, NEVER);
  await chmod(store.filePath, 0o644);
  await store.set("nas", "word", null, NEVER);
  assert.equal((await stat(store.filePath)).mode & 0o777, 0o600);
});

test("changes made at once are all kept, and leave nothing else behind", async (t) => {
  const { store, home } = await storeIn(t, null);
  const names = Array.from({ length: 12 }, (_, index) => `name-${index}`);
  await Promise.all(names.map((name) => store.set(name, `of ${name}`, null, NEVER)));
  for (const name of names) assert.equal(await store.get(name, LIMITS), `of ${name}`);
  assert.deepEqual((await readdir(home)).sort(), ["secrets.json", "secrets.lock.db"]);
});

test("a change that is cancelled while another is made changes nothing", async (t) => {
  const { store } = await storeIn(t, null);
  const cancelled = AbortSignal.abort(new MountaineerError("aborted", "cancelled"));
  await assert.rejects(store.set("nas", "x", null, cancelled), { code: "aborted" });
  assert.deepEqual(await store.list(), []);
});
