import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { chmod, cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectToDaemon, type DaemonClient } from "../../../src/api/client/client.ts";
import { type FollowNotice, followDaemon } from "../../../src/api/client/follow-daemon.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startImposter } from "../imposter.ts";
import { startRig } from "../management-rig.ts";
import { sampleSyncEvent, scriptedConfig } from "../sample-config.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../sample-report.ts";

const never = new AbortController().signal;

async function clientOf(t: TestContext, control = scriptedControl()): Promise<DaemonClient> {
  const { home } = await startRig(t, { control });
  const client = await connectToDaemon(home);
  assert.ok(client);
  return client;
}

/** Answers whatever is asked with these bytes. */
function answering(t: TestContext, status: number, body: string): Promise<string> {
  return startImposter(t, (socket) => {
    socket.once("data", () => {
      socket.end(
        `HTTP/1.1 ${status} X\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
  });
}

async function failureAt(
  home: string,
  ask: (client: DaemonClient) => Promise<unknown>,
): Promise<MountaineerError> {
  const client = await connectToDaemon(home);
  assert.ok(client);
  try {
    await ask(client);
  } catch (error) {
    assert.ok(error instanceof MountaineerError, String(error));
    return error;
  }
  assert.fail("it did not reject");
}

test("a daemon from before an upgrade that lacks a requested method is named as the older one", async (t) => {
  const body = JSON.stringify({
    error: { code: "protocol", message: "GET /manage/v1/config/approvals is not served", hint: null },
  });
  const failure = await failureAt(await answering(t, 404, body), (client) =>
    client.call("approvals", null, never),
  );
  assert.match(failure.message, /another version of Mountaineer/);
  assert.match(failure.hint ?? "", /mountaineer restart/);
});

test("each call crosses the socket and returns unchanged", async (t) => {
  const report = sampleReport([sampleShare(), sampleShare({ name: "Füße 日本 🎬" })]);
  const control = scriptedControl(report);
  const client = await clientOf(t, control);
  assert.equal(client.pid, process.pid);
  assert.deepEqual(await client.call("status", null, never), report);
  assert.equal(await client.backendPhases(never), null, "it has no gateway");
  assert.deepEqual(await client.call("verify", { shares: ["Füße 日本 🎬"] }, never), {
    ok: true,
    findings: [],
    checked: { shares: 1, backends: 0 },
  });
  assert.deepEqual(
    (await client.call("reconcile", { shares: null }, never)).results,
    report.shares.map(({ name }) => sampleResult({ share: name })),
  );
  assert.deepEqual((await client.call("mount", { shares: ["CORE"] }, never)).results, [sampleResult()]);
  await client.call("unmount", { shares: ["CORE"], force: true }, never);
  await client.call("switchRoute", { shares: null, to: "fallback", force: false, wait: true }, never);
  assert.deepEqual(pluck(control.calls, "name", "selection", "options"), [
    ["verify", ["Füße 日本 🎬"], {}],
    ["reconcile", null, {}],
    ["mount", ["CORE"], {}],
    ["unmount", ["CORE"], { force: true }],
    ["switch", null, { to: "fallback", force: false, wait: true }],
  ]);
});

test("a status of 1,000 shares with conditions arrives whole", async (t) => {
  const shares = Array.from({ length: 1_000 }, (_, index) => sampleShare({ name: `SHARE-${index}` }));
  const client = await clientOf(t, scriptedControl(sampleReport(shares)));
  assert.equal((await client.call("status", null, never)).shares.length, 1_000);
});

test("an error reaches the client as a MountaineerError with its code and hint", async (t) => {
  const client = await clientOf(t);
  await assert.rejects(client.call("mount", { shares: ["COER"] }, never), (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "share_unknown");
    assert.match(error.hint ?? "", /did you mean CORE/);
    return true;
  });
});

test("without a home, a socket, or a listener behind it there is no daemon", async (t) => {
  const home = await temporaryFolder(t);
  assert.equal(await connectToDaemon(join(home, "nowhere")), null);
  assert.equal(await connectToDaemon(home), null);
  await writeFile(join(home, "mountaineer.sock"), "");
  assert.equal(await connectToDaemon(home), null);
  assert.equal(await connectToDaemon(join(home, "mountaineer.sock")), null, "a file in the home's place");
  const server = createServer().listen(join(home, "bound"));
  await once(server, "listening");
  await rename(join(home, "bound"), join(home, "mountaineer.sock"));
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await connectToDaemon(home), null);
});

test("a record that is stale, torn or about something else does not hide the daemon at the usual path", async (t) => {
  const { home } = await startRig(t);
  for (const note of [
    `{"pid":1,"socket":"${home}/gone","version":"","started_at":"","home":"${home}"}`,
    '{"pid":',
    "[]",
    "",
  ]) {
    await writeFile(join(home, "daemon.json"), note);
    const client = await connectToDaemon(home);
    assert.equal(client?.socketPath, join(home, "mountaineer.sock"));
    assert.equal(client?.pid, null);
  }
});

test("a daemon at a short path is found by its record", async (t) => {
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const { server } = await startRig(t, { home });
  const client = await connectToDaemon(home);
  assert.equal(client?.socketPath, server.socketPath);
  assert.deepEqual(await client?.call("status", null, never), sampleReport());
});

test("another user's socket is a denied permission, not an absent daemon", async (t) => {
  const { home, server } = await startRig(t);
  // Root may open every socket, so it looks with another user's eyes.
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    await chmod(home, 0o755);
    process.seteuid?.(65_534);
  } else {
    await chmod(server.socketPath, 0);
  }
  try {
    await assert.rejects(connectToDaemon(home), { code: "permission_denied" });
  } finally {
    if (asRoot) process.seteuid?.(0);
  }
});

test("a copy of a home leads to no daemon, and a home that was moved leads to its own", async (t) => {
  const folder = await temporaryFolder(t);
  const [home, copy, moved] = [join(folder, "home"), join(folder, "copy"), join(folder, "moved")];
  await mkdir(home);
  await startRig(t, { home });
  await mkdir(copy);
  await cp(join(home, "daemon.json"), join(copy, "daemon.json"));
  assert.equal(await connectToDaemon(copy), null);
  await rm(copy, { recursive: true });
  await rename(home, moved);
  assert.equal((await connectToDaemon(moved))?.socketPath, join(moved, "mountaineer.sock"));
});

test("a daemon that accepts and stays silent is unreachable after the deadline, with its pid in the hint", async (t) => {
  const home = await startImposter(t, () => {});
  const note = { pid: 4711, socket: join(home, "mountaineer.sock"), version: "0.1.0", started_at: "", home };
  await writeFile(join(home, "daemon.json"), JSON.stringify(note));
  const clock = createManualClock();
  const client = await connectToDaemon(home, { clock, silenceMs: 6_000 });
  const asked = client?.call("status", null, never);
  asked?.catch(() => {});
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(6_000);
  await assert.rejects(asked ?? Promise.resolve(), (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "daemon_unreachable");
    assert.match(error.message, /pid 4711.*nothing for 6 s/);
    assert.match(error.hint ?? "", /kill 4711/);
    return true;
  });
  assert.equal(clock.pendingTimers, 0);
});

test("a long answer is waited for as long as the daemon shows signs of life", async (t) => {
  const sockets: Socket[] = [];
  const home = await startImposter(t, (socket) => sockets.push(socket));
  const clock = createManualClock();
  const client = await connectToDaemon(home, { clock, silenceMs: 6_000 });
  const asked = client?.call("switchRoute", { shares: null, to: "tb", force: false, wait: true }, never);
  const socket = await eventually(() => sockets[1]);
  for (let round = 1; round <= 5; round++) {
    await clock.advance(5_000);
    socket.write("HTTP/1.1 102 Processing\r\n\r\n");
    await eventually(() => clock.timersSet === 1 + round);
  }
  const body = JSON.stringify({ results: [sampleResult()] });
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body.slice(0, 1)}`);
  await eventually(() => clock.timersSet === 8);
  await clock.advance(5_000);
  socket.write(body.slice(1, 2));
  await eventually(() => clock.timersSet === 9);
  await clock.advance(5_000);
  socket.end(body.slice(2));
  assert.deepEqual((await asked)?.results, [sampleResult()]);
});

test("an answer that breaks the contract is a protocol error with its position, and never a crash", async (t) => {
  const ask = (client: DaemonClient) => client.call("status", null, never);
  const cases: [number, string, RegExp][] = [
    [200, "not json", /not JSON/],
    [200, "", /not JSON/],
    [200, "null", /at its root/],
    [200, JSON.stringify({ ...sampleReport(), shares: [{ name: 1 }] }), /wrong at shares\.0\.name/],
    [200, JSON.stringify({ shares: [] }), /wrong at global/],
    [500, "{}", /HTTP 500/],
    [500, '{"error":{"code":"no_such_code","message":"x"}}', /HTTP 500/],
    [404, '{"error":{"message":"x"}}', /HTTP 404/],
  ];
  for (const [status, body, message] of cases) {
    const error = await failureAt(await answering(t, status, body), ask);
    assert.equal(error.code, "protocol");
    assert.match(error.message, message);
    assert.match(error.hint ?? "", /restart the daemon/);
  }
});

test("an answer of more than 64 MiB is not read to its end", async (t) => {
  for (const [bytes, message] of [
    [64 * 1024 * 1024, /not JSON/],
    [64 * 1024 * 1024 + 1, /no end/],
  ] as const) {
    const home = await answering(t, 200, " ".repeat(bytes));
    const error = await failureAt(home, (client) => client.call("status", null, never));
    assert.match(error.message, message);
  }
});

test("a daemon with a different method at the path has a different version", async (t) => {
  const home = await answering(t, 405, '{"error":{"code":"protocol","message":"x"}}');
  const { message } = await failureAt(home, (client) => client.call("status", null, never));
  assert.match(message, /is another version/);
});

test("a server that does not speak HTTP is a protocol error", async (t) => {
  const home = await startImposter(t, (socket) => socket.write("SSH-2.0-OpenSSH\r\n"));
  assert.equal((await failureAt(home, (client) => client.call("status", null, never))).code, "protocol");
});

test("a daemon that ends during a request is unreachable, and may be tried again later", async (t) => {
  const home = await startImposter(t, (socket) => socket.once("data", () => socket.destroy()));
  const error = await failureAt(home, (client) => client.call("mount", { shares: null }, never));
  assert.equal(error.code, "daemon_unreachable");
  assert.equal(error.retry, "later");
  const partial = await startImposter(t, (socket) => {
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"));
  });
  const cut = await failureAt(partial, (client) => client.call("status", null, never));
  assert.match(cut.message, /connection to the daemon was lost/);
  assert.equal(getEventListeners(never, "abort").length, 0);
});

test("a cancelled call rejects at once, and the daemon is notified of it", async (t) => {
  const control = scriptedControl(sampleReport(), async (share, { signal }) => {
    await once(signal, "abort");
    return sampleResult({ share });
  });
  const client = await clientOf(t, control);
  const cancel = new AbortController();
  const asked = client.call(
    "switchRoute",
    { shares: null, to: "tb", force: false, wait: true },
    cancel.signal,
  );
  asked.catch(() => {});
  const call = await eventually(() => control.calls[0]);
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(asked, { code: "aborted", message: "stopped by SIGINT" });
  await eventually(() => call.signal.aborted);
  await assert.rejects(client.call("status", null, AbortSignal.abort()), { code: "aborted" });
});

function follow(t: TestContext, home: string, options = {}) {
  const cancel = new AbortController();
  const notices: FollowNotice[] = [];
  const ended = (async () => {
    for await (const notice of followDaemon(home, { signal: cancel.signal, ...options }))
      notices.push(notice);
  })();
  ended.catch(() => {});
  t.after(() => cancel.abort());
  /** "connected", "resumed", "lost: why", or the event's id. */
  const told = () =>
    notices.map((notice) => {
      if (notice.kind === "event") return String(notice.id);
      if (notice.kind === "lost") return `lost: ${notice.reason}`;
      return notice.resumed ? "resumed" : "connected";
    });
  return { notices, cancel, ended, told };
}

const NONE = "lost: no daemon runs for this home";
const ENDED = "lost: the daemon ended the connection";

test("it waits for a daemon, receives its events, and finds the next one", async (t) => {
  const home = await temporaryFolder(t);
  // It looks when the daemon is wholly up: earlier it would find one that has not said yet who it is.
  const clock = createManualClock();
  const following = follow(t, home, { clock });
  await eventually(() => following.told().length === 1);
  const first = scriptedConfig();
  const { server } = await startRig(t, { home, config: first });
  await passTimeUntil(clock, () => first.listenerCount === 1, 100);
  first.emit({ kind: "sync", event: sampleSyncEvent() });
  await eventually(() => following.told().length === 3);
  await server[Symbol.asyncDispose]();
  await passTimeUntil(clock, () => following.told().length >= 5, 100);
  const second = scriptedConfig();
  await startRig(t, { home, config: second });
  await passTimeUntil(clock, () => following.told().includes("connected", 5), 100);
  second.emit({ kind: "sync", event: sampleSyncEvent() });
  await eventually(() => following.told().at(-1) === "1");
  assert.deepEqual(following.told(), [NONE, "connected", "1", ENDED, NONE, "connected", "1"]);
  const connected = following.notices[1];
  assert.ok(connected?.kind === "connected");
  assert.equal(connected.client.pid, process.pid);
  following.cancel.abort();
  await following.ended;
});

test("the same daemon is resumed after the last received event, a different one is started from the beginning", async (t) => {
  const home = await temporaryFolder(t);
  const asked: (string | null)[] = [];
  const frame = 'id: 41\ndata: {"kind":"gap"}\n\n';
  const onConnection = (socket: Socket): void => {
    socket.once("data", (request) => {
      asked.push(/^last-event-id: (.*)\r$/im.exec(String(request))?.[1] ?? null);
      // The third connection stays.
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n${frame}`);
      if (asked.length < 3) socket.end();
    });
  };
  await startImposter(t, onConnection, home);
  const life = (started_at: string) =>
    writeFile(
      join(home, "daemon.json"),
      JSON.stringify({ pid: 4711, socket: join(home, "mountaineer.sock"), version: "", started_at, home }),
    );
  await life("then");
  const cancel = new AbortController();
  const told: string[] = [];
  for await (const notice of followDaemon(home, { signal: cancel.signal })) {
    told.push(notice.kind === "connected" && notice.resumed ? "resumed" : notice.kind);
    if (notice.kind === "lost" && asked.length === 2) await life("later");
    if (notice.kind === "event" && asked.length === 3) cancel.abort();
  }
  assert.deepEqual(asked, [null, "41", null]);
  assert.deepEqual(told, ["connected", "event", "lost", "resumed", "event", "lost", "connected", "event"]);
});

test("waiting grows to 2 s, is reported once, and ends at once when cancelled", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock();
  const waits: number[] = [];
  const counting = {
    ...clock,
    sleep(ms: number, signal?: AbortSignal) {
      waits.push(ms);
      return clock.sleep(ms, signal);
    },
  };
  const following = follow(t, home, { clock: counting });
  for (let round = 1; round <= 8; round++) {
    await eventually(() => waits.length === round && clock.pendingTimers === 1);
    await clock.advance(waits.at(-1) ?? 0);
  }
  assert.deepEqual(waits.slice(0, 8), [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
  assert.deepEqual(following.told(), [NONE]);
  following.cancel.abort();
  await following.ended;
  await eventually(() => clock.pendingTimers === 0);
});

test("a daemon that serves no events is waited for like one that is absent", async (t) => {
  const { home } = await startRig(t);
  const following = follow(t, home);
  await eventually(() => following.told().length === 1);
  assert.match(following.told()[0] ?? "", /^lost: .*not served/);
});

test("a signal that aborted earlier ends it before it began", async (t) => {
  const home = await temporaryFolder(t);
  const notices = await Array.fromAsync(followDaemon(home, { signal: AbortSignal.abort() }));
  assert.deepEqual(notices, []);
});
