// The daemon's side of mountaineer-fs's control socket: what it makes of reports, and what it tells the program. A server in this
// process stands in for the program; the real one is in the lab.
import assert from "node:assert/strict";
import { chmod, mkdir } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createMovingPrograms, newMessages } from "../../../../src/shares/drivers/fs/moving-programs.ts";
import { readStatus } from "../../../../src/shares/drivers/fs/program-status.ts";
import type { MountReport, MountSettings } from "../../../../src/shares/drivers/moving-mounts.ts";
import { typedSignIn } from "../../../../src/shares/program/sign-in.ts";
import { eventually } from "../../../support/eventually.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

/** As the protocol's page has it. */
const STATUS = {
  ...{ protocol: 1, version: "1.2", pid: 1, share: "CORE", mounted: "/v/CORE", route: "tb", wanted: "tb" },
  allowed: ["tb", "fallback"],
  endpoint: { address: "10.0.0.2", port: 445, rerouted: false },
  phase: { is: "serving" },
  ...{ heard_ms: 12, oldest_wait_ms: null, longest_wait_ms: 830 },
  moves: { count: 0, last: null },
  pauses: { count: 3, total_ms: 4100, longest_ms: 2100 },
  bytes: { to_server: 1, from_server: 2 },
  connections: { open: 2, in_all: 9 },
  ...{
    open_files: 3,
    aside: 0,
    patience_ms: 300_000,
    encrypted: false,
    signing: "AES-GMAC",
    dialect: "3.1.1",
  },
  ...{ limit: null, refused: null, other: null, server: { guid: "ab", proved: "creation" }, journal: 0 },
};
const MOVED = {
  at: 5_000,
  from: "tb",
  to: "fallback",
  reason: "silent",
  asked: false,
  quiet: false,
  took_ms: 310,
};

type Request = Record<string, unknown> & { readonly id: number; readonly do: string };

async function startStandIn(t: TestContext, answer: (request: Request) => object | null = () => ({})) {
  const home = await temporaryFolder(t);
  const folder = join(home, "mounts/CORE");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const socket = join(folder, "control.sock");
  const requests: Request[] = [];
  const clients = new Set<Socket>();
  const state = { status: STATUS as object };
  const server = createServer((client) => {
    clients.add(client);
    client.on("error", () => {}).on("close", () => clients.delete(client));
    client.on("data", (chunk) => {
      for (const line of chunk.toString().trim().split("\n")) {
        const request = JSON.parse(line) as Request;
        requests.push(request);
        const more = answer(request);
        if (more === null) continue;
        client.write(
          `${JSON.stringify({ v: 1, id: request.id, ok: true, status: state.status, ...more })}\n`,
        );
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  await chmod(socket, 0o600);
  const logger = createRecordingLogger();
  const programs = createMovingPrograms({
    clock: systemClock,
    logger,
    home,
    isInCharge: true,
    observedAtMs: 1_000,
  });
  t.after(() => {
    programs[Symbol.dispose]();
    for (const client of clients) client.destroy();
    server.close();
  });
  const push = (change: object): void => {
    state.status = { ...state.status, ...change };
    for (const client of clients) client.write(`${JSON.stringify({ v: 1, status: state.status })}\n`);
  };
  const running = { pid: 1, startTime: "2", socket };
  return { programs, running, requests, clients, push, logger, moving: programs.moving };
}

const login = (password: string) => typedSignIn({ username: "ann", password }, {});

const SETTINGS: MountSettings = {
  configured: ["tb", "fallback"],
  endpoints: { tb: { address: "10.0.0.2", port: 445, interfaceName: "tb0" } },
  ...{
    allowed: ["tb", "fallback"],
    patienceMs: 300_000,
    signIn: login("secret"),
    down: [],
    answering: ["tb"],
  },
};

test("A10 the program's report is there once it is attached, and a listener hears of what is worth a cycle", async (t) => {
  const { programs, running, push, moving } = await startStandIn(t);
  const heard: string[] = [];
  moving.onReport((share) => heard.push(share));
  await programs.attach("CORE", running);
  const report = moving.of("CORE");
  assert.deepEqual([report?.phase.is, report?.route, report?.moves.count], ["serving", "tb", 0]);
  const before = heard.length;
  push({ bytes: { to_server: 9, from_server: 9 } });
  await eventually(() => moving.of("CORE")?.bytesUp === 9);
  assert.equal(heard.length, before, "counters are not worth a cycle");
  push({ route: "fallback", moves: { count: 1, last: MOVED } });
  await eventually(() => heard.length > before);
  const { tookMs, reason, isRequested } = moving.of("CORE")?.moves.last ?? {};
  assert.deepEqual(
    [moving.of("CORE")?.route, tookMs, reason, isRequested],
    ["fallback", 310, "silent", false],
  );
});

test("A10 a planned move carries the number of moves that were seen, and a refusal says why", async (t) => {
  const refusal = { ok: undefined, error: { code: "stale", message: "it has moved since" } };
  const { programs, running, requests, moving } = await startStandIn(t, (request) =>
    request.do !== "use" ? {} : request["seen"] === 0 ? { quiet: true } : refusal,
  );
  await programs.attach("CORE", running);
  const { signal } = new AbortController();
  assert.deepEqual(await moving.move("CORE", "fallback", 0, signal), {
    ok: true,
    quiet: true,
    connections: 2,
  });
  assert.deepEqual(await moving.move("CORE", "fallback", 3, signal), {
    ok: false,
    text: "it has moved since",
  });
  const [use] = requests.filter((request) => request.do === "use");
  assert.deepEqual([use?.["route"], use?.["seen"]], ["fallback", 0]);
  assert.equal((await moving.move("OTHER", "tb", 0, signal)).ok, false, "nothing is attached");
  assert.deepEqual(await moving.move("CORE", "tb", 0, AbortSignal.abort()), { ok: false, text: "cancelled" });
});

test("A10 a program that gives no answer is silent since the first request, until it answers again", async (t) => {
  let isDeaf = false;
  const { programs, running, moving } = await startStandIn(t, () => (isDeaf ? null : {}));
  await programs.attach("CORE", running);
  isDeaf = true;
  const beforeMs = systemClock.monotonicMs();
  await moving.refresh("CORE");
  await eventually(() => moving.of("CORE")?.silentSinceMs !== null);
  assert.ok((moving.of("CORE")?.silentSinceMs ?? 0) >= beforeMs);
  isDeaf = false;
  await moving.refresh("CORE");
  assert.equal(moving.of("CORE")?.silentSinceMs, null);
});

test("A10 a connection that ends is made again, and every setting is sent again", async (t) => {
  const { programs, running, requests, clients, moving } = await startStandIn(t);
  await programs.attach("CORE", running);
  moving.update("CORE", SETTINGS);
  moving.update("CORE", SETTINGS);
  await eventually(() => requests.some((request) => request.do === "set"));
  for (const client of clients) client.destroy();
  await eventually(async () => {
    await programs.attach("CORE", running);
    moving.update("CORE", SETTINGS);
    return requests.filter((request) => request.do === "set").length === 2;
  });
});

test("A9 what a program did while no daemon looked is logged once, and a file that it lost is a warning", async (t) => {
  const journal = [
    { n: 1, at: 500, is: "moved", from: "tb", to: "fallback" },
    { n: 2, at: 5_000, is: "moved", from: "fallback", to: "tb" },
    { n: 3, at: Date.now() + 60_000, is: "mounted" },
  ];
  const lost = { n: 4, at: 6_000, is: "file_lost", path: "a.txt", why: "gone" };
  const { programs, running, push, logger } = await startStandIn(t, (request) =>
    request.do !== "journal" ? {} : { journal: request["after"] === 0 ? journal : [lost] },
  );
  push({ journal: 3 });
  await programs.attach("CORE", running);
  await eventually(() => logger.lines.length === 1);
  push({ journal: 4 });
  await eventually(() => logger.lines.length === 2);
  assert.match(
    JSON.stringify(logger.lines[0]),
    /moved while no daemon answered.*"to":"tb","at":"1970-01-01T00:00:05/,
  );
  assert.match(JSON.stringify(logger.lines[1]), /a file of a program is not the same.*a\.txt/);
});

const REPORT: MountReport = readStatus(STATUS, 10_000) ?? assert.fail("it cannot be read");

function told(change: Partial<MountSettings>, report: Partial<MountReport> = {}, nowMs = 10_000) {
  const first = newMessages(
    { settings: null, endpoints: {}, down: [], answering: [], triedAtMs: -1e9 },
    SETTINGS,
    REPORT,
    10_000,
  );
  return newMessages(first.sent, { ...SETTINGS, ...change }, { ...REPORT, ...report }, nowMs).messages;
}

test("A10 only changes are sent to a program", () => {
  const phase = { is: "waiting", why: "no_answer", text: null } as const;
  assert.deepEqual(told({}), []);
  const moved = { tb: { address: "10.0.0.9", port: 445, interfaceName: null } };
  const routes = [{ name: "tb", address: "10.0.0.9", port: 445 }];
  assert.deepEqual(told({ endpoints: moved }), [
    ["set", { routes, patience_ms: 300_000, password: "secret" }],
  ]);
  assert.equal(told({ signIn: login("new") })[0]?.[1]["password"], "new");
  assert.deepEqual(told({ allowed: [] }), [["allow", { routes: [], seen: 0 }]]);
  assert.deepEqual(told({}, { awaitsAllow: true }), [["allow", { routes: ["tb", "fallback"], seen: 0 }]]);
  const unplugged = { down: ["tb"], answering: [], endpoints: {} } as const;
  assert.deepEqual(told(unplugged), [["lost", { route: "tb", seen: 0 }]]);
  assert.deepEqual(told({ answering: ["tb", "fallback"] }), [["try", { routes: ["tb", "fallback"] }]]);
  assert.deepEqual(told({}, { phase }, 11_000), [], "tried a second ago");
  assert.deepEqual(told({}, { phase }, 12_500), [["try", { routes: ["tb"] }]]);
});

test("a status of another form is refused, and one of a newer program is read", () => {
  assert.equal(readStatus({ ...STATUS, moves: 3 }, 0), null);
  assert.equal(readStatus({ ...STATUS, phase: { is: "dancing" } }, 0), null);
  const newer = readStatus(
    { ...STATUS, color: "red", asked_ms: 40, phase: { is: "over", why: "x", text: "y" } },
    100,
  );
  assert.deepEqual([newer?.phase, newer?.requestedAtMs], [{ is: "over", why: "x", text: "y" }, 60]);
});
