import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { sealedPinStore } from "../../../src/daemon/compose/pin-store.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { memoryKeyring } from "../../secrets/memory-keyring.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** A bus there is: what fails then is a keyring that is locked, and not one that is not there. */
const environment = { DBUS_SESSION_BUS_ADDRESS: "unix:path=/dev/null" };

test("E3 pins are read as they were written, and not trusted once somebody changed or removed them", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const keyring = memoryKeyring();
  const store = () => sealedPinStore({ home, clock: systemClock, environment, keyring }, true);
  assert.deepEqual(await store().read(), { kind: "none" });
  await store().write({ version: 1, tools: ["ü"] });
  assert.deepEqual(await store().read(), { kind: "kept", value: { version: 1, tools: ["ü"] } });

  const file = join(home, "pins.sealed");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("ü", "u"));
  const changed = await store().read();
  assert.ok(changed.kind === "untrusted" && changed.reason.startsWith(file), JSON.stringify(changed));
  await rm(file);
  assert.deepEqual(await store().read(), { kind: "untrusted", reason: `${file} is gone` });

  keyring.lockedBecause = "it is locked";
  const locked = await store().read();
  assert.ok(locked.kind === "unanswered" && locked.reason.includes("it is locked"), JSON.stringify(locked));
});

test("E3 a command that only looks writes no pins", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const store = sealedPinStore({ home, clock: systemClock, environment, keyring: null }, false);
  assert.deepEqual(await store.read(), { kind: "none" });
  await store.write({ version: 1 });
  assert.deepEqual(await readdir(home).catch(() => []), []);
});
