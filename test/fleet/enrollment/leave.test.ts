// Who may leave a fleet whose server is here.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type TestContext, test } from "node:test";
import { folderPaths } from "../../../src/fleet/enrollment/fleet-folder.ts";
import { recordText } from "../../../src/fleet/enrollment/fleet-record.ts";
import { leaveFleet } from "../../../src/fleet/enrollment/leave.ts";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const member = (name: string) => ({ name, key: userKey(randomBytes(32)) });

async function serving(t: TestContext, ...names: readonly string[]) {
  const home = await temporaryFolder(t);
  const { record } = folderPaths(home);
  await mkdir(dirname(record), { mode: 0o700 });
  await writeFile(
    record,
    recordText({
      address: "127.0.0.1:4222",
      authority: "ab".repeat(32),
      home: "nas",
      members: ["nas", ...names].map(member),
      invitations: [],
    }),
  );
  let removals = 0;
  const removeSection = async (): Promise<boolean> => ++removals > 0;
  const base = { home, clock, environment: {}, signal: AbortSignal.any([]), removeSection };
  return {
    record,
    removals: () => removals,
    leave: (dissolves: boolean) => leaveFleet({ ...base, dissolves }),
  };
}

test("G1 the machine with the server abandons others only if asked to, and changes nothing else before", async (t) => {
  const { record, removals, leave } = await serving(t, "laptop", "desktop");
  const before = await readFile(record, "utf8");
  await assert.rejects(leave(false), { code: "usage", message: /laptop, desktop would lose it/ });
  assert.deepEqual([removals(), await readFile(record, "utf8")], [0, before]);
  assert.deepEqual(await leave(true), { name: "nas", dissolved: true });
  await assert.rejects(readFile(record), { code: "ENOENT" });
});

test("G1 a fleet of only this machine is left without a question", async (t) => {
  const { leave } = await serving(t);
  assert.deepEqual(await leave(false), { name: "nas", dissolved: true });
});

test("G1 an unreadable record does not stop a person who gives the fleet up, and is kept from others", async (t) => {
  const { record, removals, leave } = await serving(t, "laptop");
  await writeFile(record, "{}");
  await assert.rejects(leave(false), { code: "fleet_server_failed" });
  assert.equal(removals(), 0);
  assert.deepEqual(await leave(true), { name: "this machine", dissolved: true });
});
