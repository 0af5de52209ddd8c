import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { openSealedFile, type SealedFile } from "../../src/secrets/sealed-file.ts";
import type { Keyring } from "../../src/secrets/system-keyring.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { memoryKeyring } from "./memory-keyring.ts";

const LIMITS = { deadlineMs: 1_000 };
/** A bus there is: what fails then is a keyring that is locked, and not one that is not there. */
const environment = { DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/bus" };

async function scene(t: TestContext, keyring: Keyring | null) {
  const home = join(await temporaryFolder(t), "home");
  /** The file as a process that starts now sees it. */
  const opened = (name = "approvals"): SealedFile =>
    openSealedFile({ home, name, clock: systemClock, environment, keyring });
  return { home, opened };
}

for (const place of ["keyring", "file"] as const) {
  const keyringFor = (): Keyring | null => (place === "keyring" ? memoryKeyring() : null);

  test(`E2 a sealed value is read back by the next process, key in the ${place}`, async (t) => {
    const { home, opened } = await scene(t, keyringFor());
    const file = opened();
    assert.deepEqual(await file.read(LIMITS), { state: "never" });
    await file.write({ a: ["ü", 1, null] }, LIMITS, { note: "commands" });
    assert.equal(file.keyStorage, place);
    assert.deepEqual(await opened().read(LIMITS), {
      state: "sound",
      value: { a: ["ü", 1, null] },
      note: "commands",
    });
    await opened().write({ a: 2 }, LIMITS);
    assert.deepEqual(await opened().read(LIMITS), { state: "sound", value: { a: 2 }, note: "commands" });
    assert.equal((await stat(join(home, "approvals.sealed"))).mode & 0o777, 0o600);
  });

  test(`E2 a sealed file that another program changed, or took from another name, is unsound, key in the ${place}`, async (t) => {
    const { opened } = await scene(t, keyringFor());
    const file = opened();
    await file.write({ command: "good" }, LIMITS, { note: "all" });
    const text = await readFile(file.path, "utf8");
    const [header = "", ...body] = text.split("\n");
    const changes = [
      text.replace("good", "evil"),
      text.replace('"serial":1', '"serial":9'),
      text.replace('"note":"all"', '"note":"none"'),
      header,
      `${header}\n${body.join("\n")}\n`,
      "",
      "{}\n{}\n",
      text.replace('"version":1', '"version":2'),
    ];
    for (const change of changes) {
      await writeFile(file.path, change);
      const read = await opened().read(LIMITS);
      assert.equal(read.state, "unsound", change);
      assert.ok(read.state === "unsound" && read.note === "all", "the newest content's note is still known");
    }
    const other = opened("pins");
    await other.write({ command: "good" }, LIMITS);
    await copyFile(other.path, file.path);
    assert.equal((await opened().read(LIMITS)).state, "unsound");
  });

  test(`E2 a sealed file that was removed is missing, and one that never existed is not, key in the ${place}`, async (t) => {
    const { home, opened } = await scene(t, keyringFor());
    const file = opened();
    await mkdir(home);
    const left = ["sealed", "key"].map((end) =>
      join(home, `.approvals.${end}.4194304-${"0".repeat(12)}.tmp`),
    );
    await Promise.all(left.map((path) => writeFile(path, "")));
    await file.write({}, LIMITS, { note: "commands", advances: false });
    const swept = (await readdir(home)).filter((name) => name.endsWith(".tmp"));
    assert.deepEqual(swept, []);
    await rm(file.path);
    assert.deepEqual(await opened().read(LIMITS), { state: "missing", note: "commands" });
    if (place === "keyring") {
      const without = openSealedFile({
        ...{ home, name: "approvals" },
        clock: systemClock,
        environment: {},
        keyring: null,
      });
      assert.equal((await without.read(LIMITS)).state, "unverifiable", "where no keyring can be asked");
      await assert.rejects(without.write({}, LIMITS), { code: "secret_unavailable" });
      const emptied = openSealedFile({
        home,
        name: "approvals",
        clock: systemClock,
        environment,
        keyring: memoryKeyring(),
      });
      assert.deepEqual(
        await emptied.read(LIMITS),
        { state: "missing", note: "" },
        "where the keyring has lost the key",
      );
    }
    await opened().write({ back: true }, LIMITS);
    assert.equal((await opened().read(LIMITS)).state, "sound");
  });

  test(`E2 an older copy does not pass for the newest, key in the ${place}`, async (t) => {
    const { opened } = await scene(t, keyringFor());
    const file = opened();
    await file.write({ n: 1 }, LIMITS);
    const older = await readFile(file.path);
    await file.write({ n: 2 }, LIMITS, { advances: false });
    await writeFile(file.path, older);
    assert.equal((await opened().read(LIMITS)).state, "sound", "nothing that counts came after it");
    await file.write({ n: 3 }, LIMITS);
    await writeFile(file.path, older);
    assert.deepEqual(await opened().read(LIMITS), {
      state: "unsound",
      reason: "it is an older copy",
      note: "",
      claimed: { n: 1 },
    });
  });
}

test("E2 with the key in the keyring, neither a key file nor a locked keyring makes a forged file pass", async (t) => {
  const keyring = memoryKeyring();
  const { home, opened } = await scene(t, keyring);
  await opened().write({ n: 1 }, LIMITS);
  const forger = openSealedFile({
    home,
    name: "approvals",
    clock: systemClock,
    environment: {},
    keyring: null,
  });
  await Promise.all(["sealed", "key"].map((end) => rm(join(home, `approvals.${end}`))));
  await forger.write({ n: 666 }, LIMITS);
  assert.equal((await opened().read(LIMITS)).state, "unsound");
  keyring.lockedBecause = "it is locked";
  assert.deepEqual(await opened().read(LIMITS), {
    state: "unverifiable",
    reason: "it is locked",
    claimed: { n: 666 },
  });
  await assert.rejects(opened().write({}, LIMITS), { code: "secret_unavailable" });
  const aborted = new MountaineerError("aborted", "the look was cancelled");
  keyring.get = () => Promise.reject(aborted);
  await assert.rejects(opened().read(LIMITS), aborted);
});

test("E2 a home from before the mark gets it when it is read, so that a sealed file deleted later is missed", async (t) => {
  const { home, opened } = await scene(t, memoryKeyring());
  await opened().write({ n: 1 }, LIMITS);
  await rm(join(home, "approvals.key"));
  assert.equal((await opened().read(LIMITS)).state, "sound");
  await rm(join(home, "approvals.sealed"));
  const options = { home, name: "approvals", clock: systemClock, environment: {} };
  assert.equal((await openSealedFile({ ...options, keyring: null }).read(LIMITS)).state, "unverifiable");
});

test("E2 where the keyring with the key does not answer, nothing is verified, and nothing takes the place of the key", async (t) => {
  const keyring = memoryKeyring();
  const { home, opened } = await scene(t, keyring);
  await opened().write({ n: 1 }, LIMITS);
  const options = { home, name: "approvals", clock: systemClock, environment: {} };
  // As in a shell without a desktop session; then as where its program is not installed.
  const absent = memoryKeyring();
  absent.lockedBecause = "The name org.freedesktop.secrets was not provided by any .service files";
  for (const elsewhere of [null, absent]) {
    const file = openSealedFile({ ...options, keyring: elsewhere });
    assert.equal((await file.read(LIMITS)).state, "unverifiable");
    await assert.rejects(file.write({ n: 2 }, LIMITS), {
      code: "secret_unavailable",
      hint: /a new file is created/,
    });
  }
  const missing = {
    ...absent,
    get: () => Promise.reject(new MountaineerError("program_unavailable", "gone")),
  };
  const withoutProgram = await openSealedFile({ ...options, keyring: missing }).read(LIMITS);
  assert.ok(
    withoutProgram.state === "unverifiable" && /without a desktop session/.test(withoutProgram.reason),
  );
  assert.deepEqual(await opened().read(LIMITS), { state: "sound", value: { n: 1 }, note: "" });
  keyring.values.clear();
  assert.equal((await opened().read(LIMITS)).state, "unsound", "a keyring that answers has no such key");
  await opened().write({ n: 2 }, LIMITS);
  assert.equal((await opened().read(LIMITS)).state, "sound", "so a new key is made");
});

test("E2 a key is stored before the first file that it seals, and a disk that accepts no file is named", async (t) => {
  const keyring = memoryKeyring();
  const { home, opened } = await scene(t, keyring);
  const { set } = keyring;
  const filesAtEachKey: string[][] = [];
  keyring.set = async (...given) => {
    filesAtEachKey.push(await readdir(home).catch(() => []));
    await set(...given);
  };
  const file = opened();
  await file.write({ n: 1 }, LIMITS);
  assert.deepEqual(filesAtEachKey, [[], ["approvals.key", "approvals.sealed"]]);
  await rm(file.path);
  await mkdir(file.path);
  const message = /approvals\.sealed cannot be written: E/;
  await assert.rejects(file.write({ n: 2 }, LIMITS), { code: "secret_unavailable", retry: "later", message });
});

test("E2 on a machine without a keyring, the key is made in a file", async (t) => {
  const keyring = memoryKeyring();
  const { opened } = await scene(t, keyring);
  keyring.lockedBecause = "Cannot autolaunch D-Bus without X11 $DISPLAY";
  const file = opened();
  await file.write({ a: 1 }, LIMITS);
  assert.equal(file.keyStorage, "file");
  assert.equal((await opened().read(LIMITS)).state, "sound");
});

test("E2 a home whose keyring was added later keeps the entries sealed by its key file", async (t) => {
  const { home, opened } = await scene(t, null);
  await opened().write({ n: 1 }, LIMITS);
  const later = openSealedFile({
    home,
    name: "approvals",
    clock: systemClock,
    environment,
    keyring: memoryKeyring(),
  });
  assert.equal((await later.read(LIMITS)).state, "sound");
});

test("E2 a missing key file leaves a sealed file that proves nothing, and the next write makes a new key", async (t) => {
  const { home, opened } = await scene(t, null);
  await opened().write({ n: 1 }, LIMITS);
  await rm(join(home, "approvals.key"));
  assert.equal((await opened().read(LIMITS)).state, "unsound");
  await opened().write({ n: 2 }, LIMITS);
  assert.equal((await opened().read(LIMITS)).state, "sound");
});

test("E2 a kill between the file and its key's count leaves the newest file sound", async (t) => {
  const keyring = memoryKeyring();
  const { opened } = await scene(t, keyring);
  const file = opened();
  await file.write({ n: 1 }, LIMITS);
  const before = [...keyring.values];
  keyring.values.clear();
  await file.write({ n: 1 }, LIMITS, { advances: false });
  assert.equal(keyring.values.size, 0, "a count that stays is not kept again");
  await file.write({ n: 2 }, LIMITS);
  for (const [name, value] of before) keyring.values.set(name, value);
  const next = opened();
  assert.deepEqual(await next.read(LIMITS), { state: "sound", value: { n: 2 }, note: "" });
  assert.equal(next.keyStorage, "keyring");
  const older = await readFile(file.path);
  await next.write({ n: 3 }, LIMITS);
  assert.deepEqual(await opened().read(LIMITS), { state: "sound", value: { n: 3 }, note: "" });
  await writeFile(file.path, older);
  assert.equal((await opened().read(LIMITS)).state, "unsound", "the count goes on from the newest file");
});

test("E2 a keyring that does not accept the count fails no write, and makes no newest file unsound", async (t) => {
  const keyring = memoryKeyring();
  const { opened } = await scene(t, keyring);
  const file = opened();
  await file.write({ n: 1 }, LIMITS);
  keyring.lockedBecause = "it is locked";
  await file.write({ n: 2 }, LIMITS);
  keyring.lockedBecause = null;
  assert.deepEqual(await opened().read(LIMITS), { state: "sound", value: { n: 2 }, note: "" });
});

test("E2 a new home whose session's bus is gone is a new home; one with sealed entries waits for its keyring", async (t) => {
  const keyring = memoryKeyring();
  const { home, opened } = await scene(t, keyring);
  keyring.lockedBecause = "Could not connect: No such file or directory";
  const folder = await temporaryFolder(t);
  const at = (bus: string): SealedFile =>
    openSealedFile({
      home,
      name: "approvals",
      clock: systemClock,
      environment: { DBUS_SESSION_BUS_ADDRESS: bus },
      keyring,
    });
  const gone = `unix:path=${join(folder, "bus")},guid=00`;
  assert.deepEqual(await at(gone).read(LIMITS), { state: "never" });
  assert.equal((await at(`unix:path=${folder}`).read(LIMITS)).state, "unverifiable", "a bus that is there");
  assert.equal((await at("unix:abstract=/tmp/x").read(LIMITS)).state, "unverifiable", "a bus that may be");
  keyring.lockedBecause = null;
  await opened().write({ n: 1 }, LIMITS);
  keyring.lockedBecause = "Could not connect: No such file or directory";
  assert.equal((await at(gone).read(LIMITS)).state, "unverifiable", "something was sealed");
  await rm(join(home, "approvals.sealed"));
  await writeFile(join(home, "approvals.key"), "");
  assert.equal((await at(gone).read(LIMITS)).state, "unverifiable", "there was a key");
});
