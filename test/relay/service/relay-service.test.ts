// When a carrier is told that it carries nothing: never in the middle of a change.
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { ShareSettings } from "../../../src/relay/connections/share-settings.ts";
import type { SocketHolder } from "../../../src/relay/control/socket-holder.ts";
import { listenerFor, RelayService } from "../../../src/relay/service/relay-service.ts";
import {
  createRelayStateFile,
  parseMemory,
  type RelayState,
  statePath,
} from "../../../src/relay/service/relay-state-file.ts";
import { createNegotiateProof } from "../../../src/relay/smb/negotiate-proof.ts";
import { createSocketOwners } from "../../../src/relay/system/socket-owner.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { listen } from "../../../src/runtime/process/private-socket.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_SECOND_ADDRESS } from "../../support/where.ts";
import { openRequest } from "../carrier-bench.ts";
import { startFakeNas } from "../fake-nas.ts";

const NO_KEEPER: SocketHolder = {
  identity: null,
  replace: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** `told`: whether each change that it tells is urgent. */
async function startService(t: TestContext, keeper: SocketHolder, events: string[] = []) {
  const told: boolean[] = [];
  const logger = createRecordingLogger();
  const stateFile = createRelayStateFile(await temporaryFolder(t), systemClock, noopLogger);
  const service = new RelayService({
    clock: systemClock,
    logger,
    owners: createSocketOwners(systemClock),
    prove: createNegotiateProof(systemClock),
    uid: process.getuid?.() ?? 0,
    stateFile,
    socketHolder: () => keeper,
    onNotice: () => true,
    onChanged: (isUrgent) => void told.push(isUrgent),
    onEmpty: () => void events.push("empty"),
  });
  return { service, told, logger, stateFile };
}

describe("the relay's shares", () => {
  test("A10 a changed setting of a share is reported at once", async (t) => {
    await using nas = await startFakeNas();
    const { service, told } = await startService(t, NO_KEEPER);
    await using _service = service;
    await service.open(openRequest("CORE", nas));
    told.length = 0;
    service.served.get("CORE")?.bind({ id: "m1", path: "/mnt", process: null });
    assert.deepEqual(told, [true]);
    await service.close("CORE");
  });

  test("A10 the newest 200 decisions are kept for the next daemon", async (t) => {
    const { service } = await startService(t, NO_KEEPER);
    await using _service = service;
    const note = { share: "CORE", from: "tb", to: "fallback", reason: "" } as const;
    for (let at = 1; at <= 201; at++) service.recordDecision({ ...note, at });
    const kept = await service.takeJournal();
    assert.deepEqual([kept.length, kept[0]?.at, (await service.takeJournal()).length], [200, 2, 0]);
  });

  test("A14 shares with one login all learn of its refusal, including one that is opened later", async (t) => {
    await using nas = await startFakeNas();
    const { service } = await startService(t, NO_KEEPER);
    await using _service = service;
    const opened = async (share: string, more: { login?: string; refusedLogon?: string }) => {
      await service.open({ ...openRequest(share, nas), ...more });
      return service.served.get(share)?.state().refusedLogon?.text;
    };
    assert.equal(await opened("CORE", { login: "ada", refusedLogon: "wrong password" }), "wrong password");
    assert.equal(await opened("MEDIA", { login: "ada" }), "wrong password");
    assert.equal(await opened("OTHER", { login: "bob" }), undefined);
    for (const share of ["CORE", "MEDIA"]) await service.close(share);
    assert.equal(await opened("CORE", { login: "ada" }), undefined, "it is tried again");
  });

  test("A10 at most 200 shares are relayed, and one of them can be reopened", async (t) => {
    await using nas = await startFakeNas();
    const { service } = await startService(t, NO_KEEPER);
    await using _service = service;
    const open = (name: number) => service.open(openRequest(`S${name}`, nas));
    await Promise.all(Array.from({ length: 200 }, (_, name) => open(name)));
    await assert.rejects(open(200), /more than 200 shares cannot be relayed/);
    await open(0);
    assert.equal(service.states().length, 200);
  });

  test("A10 a share that is reopened ends its earlier mount's connections, and gets its port again", async (t) => {
    await using nas = await startFakeNas();
    const waiting: number[] = [];
    const keeper: SocketHolder = { ...NO_KEEPER, replace: async ({ length }) => void waiting.push(length) };
    const { service } = await startService(t, keeper);
    await using _service = service;
    const { port } = await service.open(openRequest("CORE", nas));
    const client = connect(port, "127.0.0.1");
    client.on("error", () => {});
    await eventually(() => service.states()[0]?.connections === 1);
    const again = await service.open({ ...openRequest("CORE", nas), wantedPort: port });
    assert.equal(again.port, port);
    await eventually(() => client.destroyed);
    assert.deepEqual(waiting, [1, 0, 1], "the keeper does not keep the port from it");
  });

  test("A10 after a death each port serves its share again, only over the route in use and unproved; other ports are given up", async (t) => {
    await using nas = await startFakeNas();
    const { service, logger, stateFile } = await startService(t, NO_KEEPER);
    await using _service = service;
    const servers = [listenerFor(), listenerFor()] as const;
    for (const server of servers) await listen(server, { host: "127.0.0.1", port: 0 });
    const { port } = servers[0].address() as AddressInfo;
    const endpoints = { tb: nas.endpoint, fallback: nas.endpoint };
    const core = { ...SHARE, endpoints, port, confirmed: true, away: false, refusedLogon: null };
    await service.restore({ ...MEMORY, shares: [core, { ...core, share: "LOST", port: 1 }] }, servers);
    const [restored, ...others] = (await stateFile.read()).shares;
    assert.deepEqual(others, []);
    assert.deepEqual(restored, { ...core, endpoints: { tb: nas.endpoint }, confirmed: false });
    assert.deepEqual(
      servers.map(({ listening }) => listening),
      [true, false],
    );
    const lost = logger.lines.filter(({ level }) => level === "error").map(({ fields }) => fields);
    assert.deepEqual(lost, [{ share: "LOST", port: 1 }]);
    assert.deepEqual(await service.takeJournal(), MEMORY.journal);
  });

  test("A10 changes are on disk before the answer, so that a killed relay knows them", {
    skip: NO_SECOND_ADDRESS,
  }, async (t) => {
    await using nas = await startFakeNas();
    await using other = await startFakeNas({ host: "127.0.0.2" });
    const { service, stateFile } = await startService(t, NO_KEEPER);
    await using _service = service;
    const saved = async () => (await stateFile.read()).shares[0];
    await service.open(openRequest("CORE", nas, other));
    assert.equal((await saved())?.share, "CORE");
    const mount = { id: "m1", path: "/mnt", process: null };
    await service.bind("CORE", mount);
    assert.deepEqual((await saved())?.mount, mount);
    await service.configure("CORE", { endpoints: {}, patienceMs: 7 });
    assert.equal((await saved())?.patienceMs, 7);
    const move = { share: "CORE", to: "fallback", endpoint: other.endpoint, planned: false } as const;
    const outcome = await service.move(move, systemClock.monotonicMs() + 10_000);
    assert.ok(outcome.ok);
    assert.equal((await saved())?.route, "fallback");
    await service.close("CORE");
    assert.equal(await saved(), undefined);
  });

  test("A10 a relay is not empty until the caller that closed its last share can be answered", async (t) => {
    await using nas = await startFakeNas();
    const handedOver = Promise.withResolvers<void>();
    let holds = 0;
    // The first is for the share that is opened; the second waits, as one on a slow machine does.
    const keeper: SocketHolder = {
      ...NO_KEEPER,
      replace: () => (++holds === 1 ? Promise.resolve() : handedOver.promise),
    };
    const events: string[] = [];
    const { service } = await startService(t, keeper, events);
    await using _service = service;
    await service.open(openRequest("CORE", nas));
    const closed = service.close("CORE").then(() => void events.push("closed"));
    await eventually(() => holds === 2);
    assert.equal(service.served.size, 0);
    assert.equal(service.isEmpty, false, "a carrier that ends now leaves the question without an answer");
    assert.deepEqual(events, []);
    handedOver.resolve();
    await closed;
    assert.deepEqual([...events, service.isEmpty], ["empty", "closed", true]);
  });
});

// What the carrier remembers survives it, whole, and a full disk stops nothing.
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
  away: true,
  server: "first",
  epoch: 3,
  login: "a-login",
  refusedLogon: "wrong password",
  wantsUser: true,
};
const MEMORY: RelayState = {
  shares: [SHARE],
  journal: [{ share: "CORE", at: 5, from: "tb", to: "fallback", reason: "gone" }],
  keeper: { pid: 9, startTime: "b:2" },
};

describe("the relay's memory", () => {
  test("A10 reads back as written, and is readable only by its owner", async (t) => {
    const folder = await temporaryFolder(t);
    const file = createRelayStateFile(folder, systemClock, createRecordingLogger());
    assert.deepEqual(await file.read(), { shares: [], journal: [], keeper: null });
    await file.write(MEMORY);
    assert.deepEqual(await file.read(), MEMORY);
    assert.equal((await stat(statePath(folder))).mode & 0o777, 0o600);
  });

  test("A10 of overlapping writes the last one stays", async (t) => {
    const folder = await temporaryFolder(t);
    const file = createRelayStateFile(folder, systemClock, createRecordingLogger());
    const writes = Array.from({ length: 40 }, (_, index) =>
      file.write({ ...MEMORY, shares: [{ ...SHARE, port: index + 1 }] }),
    );
    await Promise.all(writes);
    assert.equal((await file.read()).shares[0]?.port, 40);
    await file.write({ shares: [], journal: [], keeper: null });
    assert.deepEqual((await file.read()).shares, []);
  });

  test("A10 a failed write is reported once and repeated later", async (t) => {
    const folder = await temporaryFolder(t);
    const logger = createRecordingLogger();
    const place = join(folder, "place");
    const file = createRelayStateFile(place, systemClock, logger);
    await file.write(MEMORY);
    await file.write(MEMORY);
    assert.equal(logger.lines.length, 1);
    await mkdir(place);
    await chmod(place, 0o700);
    await eventually(async () => (await file.read()).shares.length === 1);
  });

  test("A10 of writes that the disk refuses the last one is written later", async (t) => {
    const clock = createManualClock();
    const place = join(await temporaryFolder(t), "place");
    const file = createRelayStateFile(place, clock, createRecordingLogger());
    await Promise.all([1, 2].map((port) => file.write({ ...MEMORY, shares: [{ ...SHARE, port }] })));
    await mkdir(place, { mode: 0o700 });
    await clock.advance(1_000);
    await eventually(async () => (await file.read()).shares[0]?.port === 2);
  });

  test("A10 entries that cannot be parsed are skipped", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(statePath(folder), "{ torn");
    const file = createRelayStateFile(folder, systemClock, createRecordingLogger());
    assert.deepEqual(await file.read(), { shares: [], journal: [], keeper: null });
    await file.write(MEMORY);
    const text = await readFile(statePath(folder), "utf8");
    const value = JSON.parse(text);
    value.shares.push({ share: "TORN" }, null, 5);
    value.newer = { than: "this" };
    assert.deepEqual(parseMemory(JSON.stringify(value)), MEMORY);
    const { away: _, ...before } = SHARE;
    const previous = parseMemory(JSON.stringify({ ...MEMORY, shares: [before] }));
    assert.equal(previous.shares[0]?.away, false, "of a version that knew no away");
  });
});
