import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { folderPaths, readFleet } from "../../../src/fleet/enrollment/fleet-folder.ts";
import { type FleetRecord, memberOf, recordText } from "../../../src/fleet/enrollment/fleet-record.ts";
import type { JoinOptions } from "../../../src/fleet/enrollment/join.ts";
import { readJoinCode, writeJoinCode } from "../../../src/fleet/enrollment/join-code.ts";
import { leaveFleet, removeMember } from "../../../src/fleet/enrollment/leave.ts";
import { readMembership, storedMachineKey } from "../../../src/fleet/enrollment/membership.ts";
import { ensureServer, keepServer, runningServer } from "../../../src/fleet/enrollment/server-process.ts";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { type ErrorCode, MountaineerError } from "../../../src/runtime/errors.ts";
import { entryExists } from "../../../src/runtime/files/durable-file.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../src/secrets/secret-store.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import {
  fleetOfFile,
  found,
  invited,
  joined,
  LACKS_SERVER,
  linkOf,
  type Machine,
  machines,
  present,
} from "./homes.ts";

const REAL = { skip: LACKS_SERVER };
const fleet = fleetOfFile();

function refusedWith(code: ErrorCode, text: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MountaineerError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}

async function fleetOf({ home }: Machine): Promise<FleetRecord> {
  const record = await readFleet(home);
  assert.ok(record);
  return record;
}

async function assertNothingKept(machine: Machine): Promise<void> {
  assert.equal(await readMembership(machine.home), null);
  assert.deepEqual(await openSecretStore(machine).list(), []);
  assert.deepEqual(machine.sections, []);
}

/** An invitation of the file's fleet, and machines that may use it. */
async function opening(t: TestContext, count = 1) {
  const { nas, first } = await fleet();
  const [laptop, other] = present(await machines(t, count));
  return { nas, first, laptop, other, open: await invited(nas) };
}

const assertRefused = (machine: Machine, code: string, more: Partial<JoinOptions>, why: RegExp) =>
  assert.rejects(joined(machine, code, more), refusedWith("join_refused", why));

test("G1 a machine joins by a code, and signs in with a key that never left it", REAL, async (t) => {
  const { nas, first, laptop, open } = await opening(t);
  const second = await joined(laptop, open.code);
  assert.equal(await open.guest, "laptop");
  assert.deepEqual(laptop.sections, [
    {
      name: "laptop",
      servers: [`tls://${first.address}`],
      credentials: "secret:fleet-key",
      tls_ca: join(laptop.home, "fleet", "ca.pem"),
    },
  ]);
  assert.equal(await linkOf(nas, first), true);
  assert.equal(await linkOf(laptop, second), true);
  const record = await fleetOf(nas);
  assert.deepEqual(pluck(record.members, "name"), ["nas", "laptop"]);
  assert.deepEqual(record.invitations, []);
});

test("G1 files with a key or with the list of members are readable only by their owner", REAL, async () => {
  const { nas } = await fleet();
  const mode = async (...path: string[]): Promise<number> =>
    (await stat(join(nas.home, ...path))).mode & 0o777;
  assert.equal(await mode("fleet-server"), 0o700);
  assert.equal(await mode("fleet"), 0o700);
  for (const name of ["fleet.json", "nats-server.conf", "server-key.pem", "server.pem"]) {
    assert.equal(await mode("fleet-server", name), 0o600, name);
  }
  assert.equal(await mode("secrets.json"), 0o600);
});

test("G1 a code is good once: replayed, it is refused, and nothing is changed", REAL, async (t) => {
  const { nas, laptop, other: thief, open } = await opening(t, 2);
  await joined(laptop, open.code, { name: "honest" });
  await open.guest;
  await assertRefused(thief, open.code, { name: "thief" }, /used already/);
  await assertNothingKept(thief);
  assert.equal(memberOf(await fleetOf(nas), "thief"), undefined);
});

test("G1 a code typed on two machines at once admits one", REAL, async (t) => {
  const { nas } = await fleet();
  const others = await machines(t, 2);
  const before = (await fleetOf(nas)).members.length;
  const open = await invited(nas);
  const outcomes = await Promise.allSettled(
    others.map((machine, index) => joined(machine, open.code, { name: `machine-${index}` })),
  );
  const winner = await open.guest;
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") assert.equal(winner, `machine-${index}`);
    else refusedWith("join_refused", /used already/)(outcome.reason);
  }
  assert.equal((await fleetOf(nas)).members.length, before + 1);
});

test("G1 an expired code is refused: by its own expiry, and by the machine that made it", REAL, async (t) => {
  const { nas } = await fleet();
  const [laptop] = present(await machines(t, 1));
  const open = await invited(nas, 3_000);
  const late = { ...laptop.clock, wallMs: () => laptop.clock.wallMs() + 60_000 };
  await assertRefused(laptop, open.code, { name: "late", clock: late }, /has expired/);
  assert.equal(await open.guest, null);
  // A clock that goes wrong, or a code whose time was changed.
  const slow = { ...laptop.clock, wallMs: () => laptop.clock.wallMs() - 3_600_000 };
  await assertRefused(laptop, open.code, { name: "late", clock: slow }, /used already|withdrawn/);
  await assertNothingKept(laptop);
});

test(
  "G1 a code that expired while the machine that made it slept, so that its timer has not fired, is refused",
  REAL,
  async (t) => {
    const { nas } = await fleet();
    const [laptop] = present(await machines(t, 1));
    let sleptMs = 0;
    const clock = { ...nas.clock, wallMs: () => nas.clock.wallMs() + sleptMs };
    const open = await invited({ ...nas, clock });
    sleptMs = 600_000;
    const before = (await fleetOf(nas)).members;
    await assertRefused(laptop, open.code, { name: "late" }, /no machine waits for this code now/);
    assert.deepEqual((await fleetOf(nas)).members, before);
    await open.withdraw();
  },
);

test("G1 a code that was tampered with is refused, and the true one still works", REAL, async (t) => {
  const { nas, laptop, open } = await opening(t);
  const before = (await fleetOf(nas)).members;
  const code = readJoinCode(open.code);
  const flipped = (bytes: Buffer): Buffer =>
    Buffer.from(bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte)));
  const forged = (change: object): string => writeJoinCode({ ...code, ...change });
  const cases: readonly [string, RegExp][] = [
    [forged({ secret: flipped(code.secret) }), /used already, or withdrawn/],
    [forged({ authority: flipped(code.authority) }), /another server answers/],
  ];
  for (const [text, why] of cases) {
    await assertRefused(laptop, text, { name: "true" }, why);
    await assertNothingKept(laptop);
  }
  assert.deepEqual((await fleetOf(nas)).members, before);
  await joined(laptop, open.code, { name: "true" });
  assert.equal(await open.guest, "true");
});

test("G1 another fleet's server at the address learns nothing, and admits no one", REAL, async (t) => {
  const { nas } = await fleet();
  const [other, laptop] = present(await machines(t, 2));
  const second = await found(other, { name: "impostor" });
  const open = await invited(nas);
  const led = writeJoinCode({ ...readJoinCode(open.code), address: second.address });
  await assertRefused(laptop, led, { name: "led" }, /another server answers/);
  await assertNothingKept(laptop);
  await open.withdraw();
});

test("G1 a name in use is refused, whatever its letter case; another name passes", REAL, async (t) => {
  const { laptop, open } = await opening(t);
  for (const name of ["nas", "NAS"]) {
    await assertRefused(laptop, open.code, { name }, /called (nas|NAS) already/);
    await assertNothingKept(laptop);
  }
  await joined(laptop, open.code, { name: "another" });
  assert.equal(await open.guest, "another");
});

test("G1 a withdrawn code is worthless", REAL, async (t) => {
  const { nas, laptop, open } = await opening(t);
  await open.withdraw();
  assert.deepEqual((await fleetOf(nas)).invitations, []);
  await assertRefused(laptop, open.code, { name: "late" }, /used already, or withdrawn/);
  await assertNothingKept(laptop);
});

test("G1 a machine that joined and could not record it continues with the same code", REAL, async (t) => {
  const { nas, laptop, open } = await opening(t);
  const before = (await fleetOf(nas)).members.length;
  const name = "unlucky";
  const broken = { name, writeSection: () => Promise.reject(new Error("the disk is full")) };
  await assert.rejects(joined(laptop, open.code, broken), /the disk is full/);
  assert.equal(await open.guest, name);
  const again = await joined(laptop, open.code, { name });
  assert.equal(laptop.sections.length, 1);
  assert.equal(await linkOf(laptop, again), true);
  assert.equal((await fleetOf(nas)).members.length, before + 1);
});

test("G1 a machine that joins again under another name, by another code, is one member", REAL, async (t) => {
  const { nas, laptop, open } = await opening(t);
  const before = pluck((await fleetOf(nas)).members, "name");
  const writeSection = () => Promise.reject(new Error("the disk is full"));
  await assert.rejects(joined(laptop, open.code, { name: "early", writeSection }), /the disk is full/);
  assert.equal(await open.guest, "early");
  const next = await invited(nas);
  await joined(laptop, next.code, { name: "renamed" });
  assert.equal(await next.guest, "renamed");
  assert.deepEqual(pluck((await fleetOf(nas)).members, "name"), [...before, "renamed"]);
});

test("G1 a server whose store was removed under it is restarted, with a new one", REAL, async () => {
  const { nas } = await fleet();
  const before = await runningServer(nas.home);
  assert.equal(await ensureServer(nas, nas.signal), "ran");
  await rm(folderPaths(nas.home).store, { recursive: true });
  assert.equal(await ensureServer(nas, nas.signal), "started");
  const after = await runningServer(nas.home);
  assert.ok(before !== null && after !== null && before.pid !== after.pid);
  await eventually(() => entryExists(folderPaths(nas.home).store));
});

test("G1 a machine that is removed is cut off, and its key opens nothing", REAL, async (t) => {
  const { nas, first, laptop, open } = await opening(t);
  const second = await joined(laptop, open.code, { name: "phone" });
  await open.guest;
  const { home, clock, signal } = nas;
  assert.equal(await removeMember({ home, clock }, "Phone", signal), "phone");
  assert.equal(await linkOf(laptop, second), false);
  assert.equal(await linkOf(nas, first), true);
  await assert.rejects(
    removeMember({ home, clock }, "phone", signal),
    refusedWith("usage", /no machine called/),
  );
  await assert.rejects(removeMember({ home, clock }, "nas", signal), refusedWith("usage", /this machine/));
  const once = await invited(nas);
  assert.equal((await storedMachineKey(laptop, second.secret)) !== null, true);
  await joined(laptop, once.code, { name: "phone" });
  assert.equal(await once.guest, "phone");
});

test("G1 logs that the server set aside do not fill the disk", REAL, async (t) => {
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
