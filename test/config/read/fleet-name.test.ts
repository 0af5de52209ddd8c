// The machine's name in a fleet, where the file gives none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/read/load.ts";
import { isMachineName, machineNameOf } from "../../../src/config/values/fleet-values.ts";
import { bytes, PLACE, refused } from "../support.ts";

const SHARED = '[fleet]\nservers = ["tls://nas.example"]\ncredentials = "secret:fleet"\n';

test("G1 a file that several machines share names none of them: each has the name of its host", async () => {
  for (const machineName of ["laptop", "nas"]) {
    const loaded = await parseConfig(bytes(SHARED), "config.toml", { ...PLACE, machineName });
    assert.equal(loaded.ok && loaded.snapshot.config.fleet?.name, machineName);
  }
  const [mistake] = await refused(SHARED);
  assert.equal(mistake?.path, "fleet.name", "a host without a usable name needs the key");
});

for (const [host, name] of [
  ["nas", "nas"],
  ["NAS.home.arpa", "nas"],
  ["Ann's MacBook.local", "ann-s-macbook"],
  ["--x_y--", "x-y"],
  [`${"a".repeat(31)}-b`, "a".repeat(31)],
  ["ä", null],
  ["", null],
] as const) {
  test(`G1 the host ${JSON.stringify(host)} is called ${name ?? "nothing"} in a fleet`, () => {
    assert.equal(machineNameOf(host), name);
    assert.ok(name === null || isMachineName(name));
  });
}
