import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { folderPaths } from "../../../src/fleet/way-in/fleet-folder.ts";
import { keepServer } from "../../../src/fleet/way-in/keep-server.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { found, LACKS_SERVER, machines, present } from "./homes.ts";

test("G1 logs that the server set aside do not fill the disk", { skip: LACKS_SERVER }, async (t) => {
  const [nas] = present(await machines(t, 1));
  await found(nas);
  const { folder, log } = folderPaths(nas.home);
  const logs = async (): Promise<string[]> =>
    (await readdir(folder)).filter((name) => name.startsWith("nats-server.log")).toSorted();
  for (const second of ["01", "02", "03"]) await writeFile(`${log}.2026.11.22.19.55.${second}.1`, "old");
  assert.equal((await logs()).length, 4);
  const end = new AbortController();
  const keeping = keepServer({ ...nas, logger: createRecordingLogger(), signal: end.signal });
  await eventually(async () => (await logs()).length === 2);
  end.abort();
  await keeping;
  assert.deepEqual(await logs(), ["nats-server.log", "nats-server.log.2026.11.22.19.55.03.1"]);
  assert.ok((await readdir(folder)).includes("fleet.json"));
});
