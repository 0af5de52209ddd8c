// Where secrets are kept, and how they are named.
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { SECRET_NAME } from "../../src/runtime/text/name-forms.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { ENCRYPTION_KEY, openEncryptedFiles } from "../../src/secrets/encrypted-files.ts";
import {
  missingHint,
  missingText,
  oneMissingText,
  parseReference,
  referenceText,
  resolveReference,
} from "../../src/secrets/reference.ts";
import { openSecretStore, type SecretStore } from "../../src/secrets/secret-store.ts";
import type { Keyring } from "../../src/secrets/system-keyring.ts";
import { pluck } from "../support/pluck.ts";
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

test("without a keyring a value is in a file that only its owner can read, in a home that only its owner can enter", async (t) => {
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

test("with a keyring the file has only the name, and a value stays where it is until it is asked to move", async (t) => {
  const keyring = memoryKeyring();
  const { store } = await storeIn(t, keyring);
  assert.equal((await store.set("nas", "word", null, NEVER)).kept, "secret-service");
  assert.doesNotMatch(await readFile(store.filePath, "utf8"), /word/);
  assert.equal(await store.get("nas", LIMITS), "word");
  await store.set("nas", "next", null, NEVER);
  assert.equal(await store.get("nas", LIMITS), "next");
  keyring.lockedBecause = "it is locked";
  await assert.rejects(store.get("nas", LIMITS), { code: "secret_unavailable" });
  await assert.rejects(store.set("nas", "new", null, NEVER), /it is locked/);
  await assert.rejects(store.set("other", "x", null, NEVER), /it is locked/);
  assert.equal((await store.set("other", "x", "file", NEVER)).kept, "file");
  await assert.rejects(store.set("third", "x", "keyring", NEVER), /it is locked/);
  assert.deepEqual(pluck(await store.list(), "name"), ["nas", "other"]);
  keyring.lockedBecause = null;
  await store.set("moved", "x", null, NEVER);
  keyring.lockedBecause = "it is locked";
  assert.equal(
    (await store.set("moved", "y", "file", NEVER)).kept,
    "file",
    "its old copy is not read any more",
  );
  keyring.lockedBecause = null;
  await store.remove("moved", NEVER);
  keyring.values.delete("moved");
  assert.equal((await store.set("other", "y", null, NEVER)).kept, "file", "it stays");
  assert.equal((await store.set("other", "z", "keyring", NEVER)).kept, "secret-service");
  assert.doesNotMatch(await readFile(store.filePath, "utf8"), /"value"/);
  assert.equal((await store.set("nas", "back", "file", NEVER)).kept, "file");
  assert.deepEqual([...keyring.values], [["other", "z"]]);
  assert.equal((await store.remove("other", NEVER))?.kept, "secret-service");
  assert.equal(keyring.values.size, 0);
  keyring.values.set("fresh", "another program's");
  await store.set("fresh", "ours", "file", NEVER);
  assert.equal(keyring.values.get("fresh"), "another program's");
});

test("a home without a secret in the keyring keeps its secrets in the file if the keyring answers and cannot store", async (t) => {
  const keyring = memoryKeyring();
  const { store } = await storeIn(t, {
    ...keyring,
    set: () => Promise.reject(new MountaineerError("secret_unavailable", "Object does not exist")),
  });
  assert.equal((await store.set("nas", "word", null, NEVER)).kept, "file");
  assert.equal((await store.set("other", "x", null, NEVER)).kept, "file");
  await assert.rejects(store.set("third", "x", "keyring", NEVER), /Object does not exist/);
  assert.equal(await store.get("nas", LIMITS), "word");
});

test("a disk that reads, writes or locks nothing is named, and stored values stay", async (t) => {
  const keyring = memoryKeyring();
  const { store, home } = await storeIn(t, keyring);
  const failing = (message: RegExp) => ({ code: "secret_unavailable", retry: "later", message });
  const unwritable = async (): Promise<void> => {
    await rm(store.filePath, { recursive: true, force: true });
    await mkdir(store.filePath);
  };
  await store.set("nas", "word", "file", NEVER);
  const setInKeyring = keyring.set;
  keyring.set = async (...given) => {
    await setInKeyring(...given);
    await unwritable();
  };
  await assert.rejects(
    store.set("other", "x", "keyring", NEVER),
    failing(/secrets\.json cannot be written: E/),
  );
  await assert.rejects(store.list(), failing(/secrets\.json cannot be read: EISDIR/));
  await rm(join(home, "secrets.lock.db"), { force: true });
  await mkdir(join(home, "secrets.lock.db"));
  await assert.rejects(store.set("nas", "x", null, NEVER), failing(/secrets\.lock\.db cannot be locked/));
});

test("a secret in a keyring that this machine does not have is reported", async (t) => {
  for (const keyring of [null, memoryKeyring()]) {
    const { store, home } = await storeIn(t, keyring);
    await mkdir(home);
    await writeFile(store.filePath, JSON.stringify({ version: 1, secrets: { nas: { kept: "keychain" } } }));
    await assert.rejects(store.get("nas", LIMITS), /the Keychain, which this machine does not have/);
  }
});

test("an unreadable file stays unchanged, and its content is never repeated", async (t) => {
  const { store, home } = await storeIn(t, null);
  await mkdir(home);
  const texts = [
    "{",
    "[]",
    "null",
    '{"version": 2, "secrets": {"nas": "tell me not"}}',
    '{"version": 2, "secrets": {"nas": {"kept": "file", "value": "tell me not"}}}',
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

test("simultaneous changes are all stored, and leave nothing else behind", async (t) => {
  const { store, home } = await storeIn(t, null);
  await mkdir(home);
  await writeFile(join(home, `.secrets.json.4194304-${"0".repeat(12)}.tmp`), "of a process that was killed");
  const names = Array.from({ length: 12 }, (_, index) => `name-${index}`);
  await Promise.all(names.map((name) => store.set(name, `of ${name}`, null, NEVER)));
  for (const name of names) assert.equal(await store.get(name, LIMITS), `of ${name}`);
  assert.deepEqual((await readdir(home)).sort(), ["secrets.json", "secrets.lock.db"]);
});

test("a change that is cancelled during another changes nothing", async (t) => {
  const { store } = await storeIn(t, null);
  const cancelled = AbortSignal.abort(new MountaineerError("aborted", "cancelled"));
  await assert.rejects(store.set("nas", "x", null, cancelled), { code: "aborted" });
  assert.deepEqual(await store.list(), []);
});

const { signal } = new AbortController();

async function opened(t: TestContext): Promise<{
  readonly folder: string;
  readonly store: SecretStore;
  readonly open: () => ReturnType<typeof openEncryptedFiles>;
}> {
  const home = await temporaryFolder(t);
  const store = openSecretStore({ home, clock: systemClock, environment: {}, keyring: null });
  const folder = join(home, "sealed");
  return { folder, store, open: () => openEncryptedFiles({ folder, store, clock: systemClock }) };
}

test("a sealed value is readable with the home's key, and not with only the file", async (t) => {
  const { folder, store, open } = await opened(t);
  const secret = `a token ${"long ".repeat(2_000)}`;
  await open().write("one", secret, signal);
  assert.equal(await open().read("one", signal), secret);
  assert.equal(await open().read("two", signal), null);
  assert.deepEqual([await open().has("one"), await open().has("two")], [true, false]);
  const text = await readFile(join(folder, "one.json"), "latin1");
  assert.ok(!text.includes("token"));
  assert.equal((await stat(join(folder, "one.json"))).mode & 0o077, 0);
  assert.deepEqual(pluck(await store.list(), "name"), [ENCRYPTION_KEY]);
});

test("a file that was changed, put in another's place, or lost its key is reported, and never opened", async (t) => {
  const { folder, store, open } = await opened(t);
  await open().write("one", "first", signal);
  await copyFile(join(folder, "one.json"), join(folder, "two.json"));
  await assert.rejects(open().read("two", signal), never);
  const path = join(folder, "one.json");
  const text = await readFile(path, "utf8");
  for (const changed of [
    text.replace(/.{4}"}/, 'AAA="}'),
    '{"version":1,"sealed":"AA"}',
    text.replace('"version":1', '"version":2'),
    '{"version":1,"sealed":7}',
    "{",
  ]) {
    await writeFile(path, changed);
    await assert.rejects(open().read("one", signal), never, changed);
  }
  await writeFile(path, text);
  assert.equal(await open().read("one", signal), "first");
  await store.remove(ENCRYPTION_KEY, signal);
  await assert.rejects(open().read("one", signal), { retry: "never", message: /its key.* is gone/ });
});

test("a sealed file is removed without its key, and a folder in its place is named", async (t) => {
  const { folder, store, open } = await opened(t);
  let asked = 0;
  const get: SecretStore["get"] = (...given) => {
    asked++;
    return store.get(...given);
  };
  const files = openEncryptedFiles({ folder, store: { get, set: store.set }, clock: systemClock });
  for (const text of ["first", "second"]) await files.write("one", text, signal);
  assert.equal(await files.read("one", signal), "second");
  assert.equal(asked, 2, "a keyring is not asked for each file");
  await store.remove(ENCRYPTION_KEY, signal);
  assert.deepEqual([await open().remove("one"), await open().remove("one")], [true, false]);
  assert.equal(await open().has("one"), false);
  await mkdir(join(folder, "one.json"));
  for (const [attempt, what] of [
    [() => files.has("one"), "read"],
    [() => files.write("one", "x", signal), "written"],
    [() => files.remove("one"), "removed"],
  ] as const) {
    const message = new RegExp(`one\\.json cannot be ${what}: E`);
    await assert.rejects(attempt, { code: "secret_unavailable", retry: "later", message });
  }
});

test("an invalid key is reported to every reader and writer, and nothing takes its place", async (t) => {
  const { store, open } = await opened(t);
  await open().write("one", "first", signal);
  await store.set(ENCRYPTION_KEY, "c2hvcnQ=", null, signal);
  const noKey = { code: "secret_unavailable", retry: "never", message: /is not a key/ };
  await assert.rejects(open().read("one", signal), noKey);
  await assert.rejects(open().write("one", "second", signal), noKey);
  assert.equal(await store.get(ENCRYPTION_KEY, { deadlineMs: 10_000 }), "c2hvcnQ=");
});

test("many simultaneous first writers agree on one key", async (t) => {
  const { open } = await opened(t);
  const names = Array.from({ length: 8 }, (_, at) => `n${at}`);
  await Promise.all(names.map((name) => open().write(name, name, signal)));
  const reader = open();
  for (const name of names) assert.equal(await reader.read(name, signal), name);
});

test("only one caller at a time works on a name, and waits for its turn", async (t) => {
  const { open } = await opened(t);
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside++;
    most = Math.max(most, inside);
    await systemClock.sleep(5);
    inside--;
  };
  await Promise.all(Array.from({ length: 6 }, () => open().exclusively("one", 10_000, signal, work)));
  assert.equal(most, 1);
  await open().exclusively("one", 10_000, signal, async () => {
    await assert.rejects(open().exclusively("one", 50, signal, work), { code: "lock_held" });
    await open().exclusively("two", 50, signal, work);
  });
});

function never(error: unknown): boolean {
  assert.ok(error instanceof MountaineerError, String(error));
  assert.equal(error.code, "secret_unavailable");
  assert.equal(error.retry, "never");
  return true;
}

test("a reference is one variable in ${} and nothing else", () => {
  assert.deepEqual(parseReference("${NAS_PASSWORD}"), { kind: "environment", variable: "NAS_PASSWORD" });
  assert.deepEqual(parseReference("${_1}"), { kind: "environment", variable: "_1" });
  const others = [
    "",
    "NAS",
    "$NAS",
    "${}",
    "${1A}",
    "${A-B}",
    "${A} ",
    " ${A}",
    "x${A}",
    "${A}${B}",
    "${A\n}",
    "${ä}",
    "${A:-b}",
  ];
  for (const text of others) assert.equal(parseReference(text), null, text);
});

test("a reference reads back as written", () => {
  const reference = parseReference("${NAS_PASSWORD}");
  assert.ok(reference !== null);
  assert.equal(referenceText(reference), "${NAS_PASSWORD}");
});

test("an unset variable is named, an empty one is a value", () => {
  const reference = { kind: "environment", variable: "A" } as const;
  assert.deepEqual(resolveReference(reference, {}), { ok: false, missing: "A" });
  assert.deepEqual(resolveReference(reference, { A: undefined }), { ok: false, missing: "A" });
  assert.deepEqual(resolveReference(reference, { A: "" }), { ok: true, value: "" });
  assert.deepEqual(resolveReference(reference, { A: "p w" }), { ok: true, value: "p w" });
});

test("names that every object inherits are not variables", () => {
  for (const variable of ["constructor", "toString", "__proto__"]) {
    assert.deepEqual(resolveReference({ kind: "environment", variable }, {}), {
      ok: false,
      missing: variable,
    });
    assert.deepEqual(resolveReference({ kind: "environment", variable }, process.env), {
      ok: false,
      missing: variable,
    });
  }
});

test("a stored secret is secret:NAME, bare or in ${}, and nothing else", () => {
  const nas = { kind: "stored", name: "nas" } as const;
  assert.deepEqual(parseReference("secret:nas"), nas);
  assert.deepEqual(parseReference("${secret:nas}"), nas);
  assert.deepEqual(parseReference("secret:a.B-3_c"), { kind: "stored", name: "a.B-3_c" });
  assert.equal(referenceText(nas), "secret:nas");
  const others = [
    "secret:",
    "secret: nas",
    "secret:-x",
    "secret:a/b",
    "secret:ä",
    "Secret:nas",
    "x secret:nas",
  ];
  others.push("secret:nas ", "${secret:}", "${secret:a b}", `secret:${"x".repeat(65)}`, "secret:a\n");
  for (const text of others) assert.equal(parseReference(text), null, text);
  assert.ok(SECRET_NAME.form.test("x".repeat(64)));
  assert.ok(!SECRET_NAME.form.test("__proto__"));
});

test("a stored secret is found under its own key, and is not a variable of that name", () => {
  const reference = parseReference("secret:nas");
  assert.ok(reference !== null);
  assert.deepEqual(resolveReference(reference, { nas: "a variable" }), { ok: false, missing: "secret:nas" });
  assert.deepEqual(resolveReference(reference, { "secret:nas": "word" }), { ok: true, value: "word" });
});

test("a missing value is reported by its kind, with the fix", () => {
  assert.equal(oneMissingText("A"), "the variable A is not set");
  assert.match(oneMissingText("secret:nas"), /^no secret nas is stored/);
  assert.match(
    missingText(["A", "secret:nas", "B"]),
    /^not set in the environment: A, B; not stored, or not readable: secret nas$/,
  );
  assert.match(missingHint(["secret:nas"]), /^mountaineer secret set nas$/);
  assert.match(
    missingHint(["A", "secret:nas"]),
    /^Store it: mountaineer secret set a;.* mountaineer secret set nas$/,
  );
});

test("E5 a keyring is tried once, with a home's first secret, and the choice stays", async (t) => {
  const keyring = memoryKeyring();
  const calls: string[] = [];
  let stores = false;
  const { store } = await storeIn(t, {
    ...keyring,
    async set(name, value, limits) {
      calls.push(`set ${name}`);
      assert.ok(limits.deadlineMs <= (name === "mountaineer-probe" ? 5_000 : 120_000));
      if (!stores) throw new MountaineerError("secret_unavailable", "Object does not exist");
      await keyring.set(name, value, limits);
    },
    async remove(name, limits) {
      calls.push(`remove ${name}`);
      return keyring.remove(name, limits);
    },
  });
  for (const name of ["nas", "other"]) assert.equal((await store.set(name, "x", null, NEVER)).kept, "file");
  await store.remove("nas", NEVER);
  await store.remove("other", NEVER);
  stores = true;
  assert.equal((await store.set("third", "x", null, NEVER)).kept, "file");
  assert.deepEqual(calls, ["set mountaineer-probe"]);
});

test("E5 a value that is too long for the Keychain goes to the file, and says why", async (t) => {
  const { store } = await storeIn(t, { ...memoryKeyring(), kind: "keychain" });
  assert.deepEqual(await store.set("short", "x".repeat(1_900), null, NEVER), {
    name: "short",
    kept: "keychain",
  });
  const long = await store.set("long", "x".repeat(1_901), null, NEVER);
  assert.deepEqual([long.kept, long.reason], ["file", "the Keychain takes 1900 bytes at most"]);
});
