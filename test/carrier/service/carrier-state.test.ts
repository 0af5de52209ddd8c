// What the carrier remembers survives it, whole, and a full disk stops nothing.
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ShareSettings } from "../../../src/carrier/connections/share-settings.ts";
import {
  type CarrierMemory,
  createCarrierStateFile,
  parseMemory,
  statePath,
} from "../../../src/carrier/service/carrier-state.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const SHARE: ShareSettings = {
  share: "CORE",
  kind: "rclone",
  port: 40_001,
  route: "tb",
  endpoints: { tb: { address: "fe80::1%en5", port: 445, localAddress: "10.0.0.1" } },
  patienceMs: 60_000,
  mount: { id: "36:0:45", path: "/mnt/CORE", process: { pid: 7, startTime: "b:1" } },
  guid: "ab",
  confirmed: false,
  server: "first",
  epoch: 3,
  login: "a-login",
  refusedLogon: "wrong password",
  away: true,
};
const MEMORY: CarrierMemory = {
  shares: [SHARE],
  journal: [{ share: "CORE", at: 5, from: "tb", to: "fallback", reason: "gone" }],
  keeper: { pid: 9, startTime: "b:2" },
};

describe("the carrier's memory", () => {
  test("A10 comes back as it was written, readable by its owner alone", async (t) => {
    const folder = await temporaryFolder(t);
    const file = createCarrierStateFile(folder, systemClock, createRecordingLogger());
    assert.deepEqual(await file.read(), { shares: [], journal: [], keeper: null });
    await file.write(MEMORY);
    assert.deepEqual(await file.read(), MEMORY);
    assert.equal((await stat(statePath(folder))).mode & 0o777, 0o600);
  });

  test("A10 of writes that overlap the last one stays", async (t) => {
    const folder = await temporaryFolder(t);
    const file = createCarrierStateFile(folder, systemClock, createRecordingLogger());
    const writes = Array.from({ length: 40 }, (_, index) =>
      file.write({ ...MEMORY, shares: [{ ...SHARE, port: index + 1 }] }),
    );
    await Promise.all(writes);
    assert.equal((await file.read()).shares[0]?.port, 40);
    await file.write({ shares: [], journal: [], keeper: null });
    assert.deepEqual((await file.read()).shares, []);
  });

  test("A10 what the disk refuses is said once and written later", async (t) => {
    const folder = await temporaryFolder(t);
    const logger = createRecordingLogger();
    const place = join(folder, "place");
    const file = createCarrierStateFile(place, systemClock, logger);
    await file.write(MEMORY);
    await file.write(MEMORY);
    assert.equal(logger.lines.length, 1);
    await mkdir(place);
    await chmod(place, 0o700);
    await eventually(async () => (await file.read()).shares.length === 1);
  });

  test("A10 what cannot be understood is left out", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(statePath(folder), "{ torn");
    const file = createCarrierStateFile(folder, systemClock, createRecordingLogger());
    assert.deepEqual(await file.read(), { shares: [], journal: [], keeper: null });
    await file.write(MEMORY);
    const text = await readFile(statePath(folder), "utf8");
    const value = JSON.parse(text);
    value.shares.push({ share: "TORN" }, null, 5);
    value.newer = { than: "this" };
    assert.deepEqual(parseMemory(JSON.stringify(value)), MEMORY);
  });
});
