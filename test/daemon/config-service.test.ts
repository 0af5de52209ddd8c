// What edits through a running service must not do.
import assert from "node:assert/strict";
import { access, rm } from "node:fs/promises";
import { test } from "node:test";
import { createServiceRig, NEVER } from "./service-rig.ts";

test("B3 an edit does not make a deleted file anew with this one key and so drop every share", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { service } = await rig.start();
  await rm(rig.configFile);
  const edits = [{ key: "global.check_interval_secs", value: "3" }];
  await assert.rejects(service.config.edit({ edits, source: "test" }, NEVER), { code: "config_unreadable" });
  await assert.rejects(access(rig.configFile), { code: "ENOENT" });
  assert.deepEqual(
    service.control.status().shares.map(({ name }) => name),
    ["CORE"],
  );
});
