import assert from "node:assert/strict";
import { once } from "node:events";
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { FlowEvent } from "../../../src/api/contract/contract.ts";
import { HEARTBEAT_MS } from "../../../src/api/contract/contract.ts";
import { LISTENER_LIMIT } from "../../../src/api/server/event-streams.ts";
import { ERROR_CODES, MountaineerError } from "../../../src/runtime/errors.ts";
import type { Logger } from "../../../src/runtime/log/log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../../support/pass-time.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { get, post, type RawAnswer, startRig, talk } from "../management-rig.ts";
import { sampleSyncEvent, sampleSyncState, scriptedConfig } from "../sample-config.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../sample-report.ts";

function assertError(answer: RawAnswer, status: number, message: RegExp, code = "protocol"): void {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers, /content-type: application\/json/i);
  const { error } = JSON.parse(answer.body);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  assert.ok("hint" in error);
}

test("an invalid request is refused in JSON, and never reaches the control", async (t) => {
  const control = scriptedControl();
  const { server } = await startRig(t, { control });
  const ask = (text: string) => talk(server.socketPath, text);
  assertError(await ask(get("nothing")), 404, /\/manage\/v1\/nothing is not served/);
  assertError(await ask(get("__proto__")), 404, /not served/);
  assertError(await ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 404, /not served/);
  assertError(await ask("GET /manage/v2/status HTTP/1.1\r\nHost: x\r\n\r\n"), 404, /not served/);
  const wrongMethod = await ask(get("mount"));
  assertError(wrongMethod, 405, /GET is not served here; allowed: POST/);
  assert.match(wrongMethod.headers, /allow: POST/i);
  assertError(await ask(post("status", "{}")), 405, /POST/);
  assertError(await ask(post("mount", "{")), 400, /not JSON/);
  assertError(await ask(post("mount", "[]")), 400, /not a JSON object/);
  assertError(await ask(post("mount", '{"shares":"CORE"}')), 400, /shares is not a list/);
  assertError(await ask(post("mount", '{"force":true}')), 400, /not known here: force/);
  assertError(await ask(post("switch", "{}")), 400, /lacks to/);
  assertError(await ask(post("switch", '{"to":"lan"}')), 400, /to is not tb, fallback or auto/);
  assertError(await ask(post("mount", " ".repeat(65_537))), 413, /larger than 65536/);
  assertError(await ask("not http\r\n\r\n"), 400, /not HTTP/);
  assertError(await ask(`GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n\r\n`), 431, /headers are too large/);
  assertError(await ask("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n"), 405, /CONNECT/);
  assertError(
    await ask("GET /manage/v1/x HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\n"),
    404,
    /x/,
  );
  assertError(
    await ask("POST /manage/v1/mount HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    400,
    /not HTTP/,
  );
  assert.deepEqual(control.calls, []);
});

test("a query string, a body sent later and a body in chunks are understood", async (t) => {
  const { server } = await startRig(t);
  assert.equal((await talk(server.socketPath, get("status?pretty"))).status, 200);
  const expecting = await talk(
    server.socketPath,
    post("mount", '{"shares":["CORE"]}', "Expect: 100-continue\r\n"),
  );
  assert.equal(expecting.status, 200);
  assert.match(expecting.text, /^HTTP\/1\.1 100 Continue\r\n/);
  const other = await talk(server.socketPath, post("mount", "{}", "Expect: something\r\n"));
  assert.equal(other.status, 200);
  const chunked =
    "POST /manage/v1/mount HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
  assert.equal((await talk(server.socketPath, chunked)).status, 200);
});

test("a request without Host is answered as any other", async (t) => {
  const { server } = await startRig(t);
  assert.equal((await talk(server.socketPath, "GET /manage/v1/status HTTP/1.1\r\n\r\n")).status, 200);
  assertError(await talk(server.socketPath, "GET / HTTP/1.1\r\n\r\n"), 404, /not served/);
});

test("a half-closed client still gets a slow answer", async (t) => {
  const gate = Promise.withResolvers<void>();
  const control = scriptedControl(sampleReport(), async (share) => {
    await gate.promise;
    return sampleResult({ share });
  });
  const { server } = await startRig(t, { control });
  const socket = connect({ path: server.socketPath, allowHalfOpen: true }, () =>
    socket.end(post("mount", "{}")),
  );
  await eventually(() => control.calls.length === 1);
  // Once another one is answered, the server has heard of that end.
  await talk(server.socketPath, get("nothing"));
  gate.resolve();
  assert.match(await text(socket), /HTTP\/1\.1 200 OK\r\n/);
});

test("beyond 128 connections the last is closed, and the others are served", async (t) => {
  const logger = createRecordingLogger();
  const clock = createManualClock();
  const { server } = await startRig(t, { clock, logger });
  const sockets = Array.from({ length: 128 }, () => connect(server.socketPath));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await eventually(() => clock.pendingTimers === 128);
  await once(connect(server.socketPath).resume(), "close");
  assert.deepEqual(pluck(logger.lines, "message"), ["management connection dropped"]);
  sockets[0]?.destroy();
  await eventually(() => clock.pendingTimers === 127);
  assert.equal((await talk(server.socketPath, get("status"))).status, 200);
});

test("a client that closes its sending side during a long answer gets all of it", async (t) => {
  const logger = createRecordingLogger();
  const shares = Array.from({ length: 5_000 }, (_, index) => sampleShare({ name: `S${index}` }));
  const { server } = await startRig(t, { logger, control: scriptedControl(sampleReport(shares)) });
  const socket = connect({ path: server.socketPath, allowHalfOpen: true }, () => socket.write(get("status")));
  socket.pause();
  await eventually(() => logger.lines.some(({ message }) => message === "management request"));
  socket.end();
  // Once another one is answered, the server has heard of that end.
  await talk(server.socketPath, get("nothing"));
  const [, body = ""] = (await text(socket)).split("\r\n\r\n");
  assert.equal(JSON.parse(body).shares.length, 5_000);
});

test("a connection leaves no timer, and one without a request does not prevent a server from stopping", async (t) => {
  // Time stands still: no deadline of the server's ends it.
  const clock = createManualClock();
  const { server } = await startRig(t, { clock });
  await talk(server.socketPath, get("status"));
  await eventually(() => clock.pendingTimers === 0);
  const idle = connect(server.socketPath);
  await eventually(() => clock.pendingTimers === 1);
  await server[Symbol.asyncDispose]();
  await eventually(() => clock.pendingTimers === 0);
  idle.destroy();
});

test("requests that arrive while the server stops are not begun", async (t) => {
  const config = scriptedConfig();
  const { home, server } = await startRig(t, { config });
  const socket = connect(server.socketPath, () => socket.write(post("reload", "{}").slice(0, -1)));
  const answer = text(socket);
  // Once another one is answered, the head of this one has been read.
  await talk(server.socketPath, get("nothing"));
  const stopping = server[Symbol.asyncDispose]();
  await eventually(async () => (await readdir(home)).length === 0);
  socket.write("}");
  assert.match(await answer, /503.*the daemon stops, or hands over; nothing was done/s);
  await stopping;
  assert.deepEqual(config.calls, []);
});

test("a client that closes its sending side within its request is not waited for", async (t) => {
  // Time stands still: no deadline of the server's ends it.
  const { server } = await startRig(t, { clock: createManualClock() });
  for (const part of ["", "GET /manage", post("mount", "{}").slice(0, -1)]) {
    const socket = connect({ path: server.socketPath, allowHalfOpen: true }, () => socket.end(part));
    socket.resume();
    await once(socket, "close", { signal: AbortSignal.timeout(60_000) });
  }
});

test("a body just under the limit is read", async (t) => {
  const { server } = await startRig(t);
  assert.equal((await talk(server.socketPath, post("mount", `{}${" ".repeat(65_534)}`))).status, 200);
});

test("of several requests that one connection sends in a row only the first is begun", async (t) => {
  const control = scriptedControl();
  const { server } = await startRig(t, { control });
  const answer = await talk(server.socketPath, post("mount", "{}") + post("unmount", "{}"));
  assert.equal(answer.status, 200);
  assert.deepEqual(pluck(control.calls, "name"), ["mount"]);
});

test("an error of the control keeps its code, message and hint", async (t) => {
  const control = scriptedControl(sampleReport(), () => {
    throw new MountaineerError("lock_held", "somebody changes this home", { hint: "wait" });
  });
  const { server } = await startRig(t, { control });
  const answer = await talk(server.socketPath, post("mount", "{}"));
  assert.equal(answer.status, 409);
  assert.deepEqual(JSON.parse(answer.body), {
    error: { code: "lock_held", message: "somebody changes this home", hint: "wait" },
  });
  const unknown = await talk(server.socketPath, post("mount", '{"shares":["CORR"]}'));
  assertError(unknown, 404, /no share named "CORR"/, "share_unknown");
  assert.match(JSON.parse(unknown.body).error.hint, /did you mean CORE/);
});

test("an unexpected error is `internal`, and logged with its stack", async (t) => {
  const logged: unknown[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: (message, fields) => logged.push([message, fields]),
  };
  const control = {
    ...scriptedControl(),
    status: () => {
      throw new TypeError("x is undefined");
    },
  };
  const { server } = await startRig(t, { control, logger });
  assertError(await talk(server.socketPath, get("status")), 500, /x is undefined/, "internal");
  assert.match(JSON.stringify(logged), /management request failed.*TypeError: x is undefined\\n/);
});

test("every error code becomes an HTTP status of its kind", async (t) => {
  for (const code of Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[]) {
    const control = scriptedControl(sampleReport(), () => {
      throw new MountaineerError(code, "no");
    });
    const { server } = await startRig(t, { control });
    const answer = await talk(server.socketPath, post("mount", "{}"));
    assert.ok(answer.status >= 400 && answer.status < 600, code);
    assert.equal(JSON.parse(answer.body).error.code, code);
    await server[Symbol.asyncDispose]();
  }
});

test("a client that leaves aborts its request, and no other", async (t) => {
  const control = scriptedControl(sampleReport(), async (share, { signal }) => {
    await once(signal, "abort");
    return sampleResult({ share });
  });
  const { server } = await startRig(t, { control });
  const leaving = connect(server.socketPath, () => leaving.write(post("switch", '{"to":"tb","wait":true}')));
  const staying = connect(server.socketPath, () => staying.write(post("mount", "{}")));
  t.after(() => staying.destroy());
  await eventually(() => control.calls.length === 2);
  leaving.destroy();
  const left = control.calls.find(({ name }) => name === "switch");
  await eventually(() => left?.signal.aborted);
  assert.equal(left?.signal.reason.code, "aborted");
  assert.equal(control.calls.find(({ name }) => name === "mount")?.signal.aborted, false);
});

test("a client that leaves leaves no timer, and no error in the log", async (t) => {
  for (const request of [post("mount", "{}").slice(0, -1), post("mount", "{}")]) {
    const clock = createManualClock();
    const logger = createRecordingLogger();
    const control = scriptedControl(sampleReport(), async (share, { signal }) => {
      if (!signal.aborted) await once(signal, "abort");
      return sampleResult({ share });
    });
    const { server } = await startRig(t, { control, clock, logger });
    const socket = connect(server.socketPath, () => socket.write(request));
    await eventually(() => clock.pendingTimers === 1);
    // Once another one is answered, this one has been read.
    await talk(server.socketPath, get("nothing"));
    socket.destroy();
    await eventually(() => logger.lines.length === 2);
    await eventually(() => clock.pendingTimers === 0);
    assertEach(logger.lines, ({ level }) => level, ["debug", "debug"]);
  }
});

test("a body without end is refused, and its sender gets the reason", async (t) => {
  const clock = createManualClock();
  const { server } = await startRig(t, { clock });
  const head = "POST /manage/v1/mount HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
  const body = " ".repeat(64 * 1024 + 8 * 1024 * 1024 + 1);
  const answer = await passTimeUntilSettled(clock, talk(server.socketPath, head + body), 1_000);
  assertError(answer, 413, /larger than 65536/);
});

test("a request in progress is reported as running every 2 s, then answered", async (t) => {
  const clock = createManualClock();
  let finish = (): void => {};
  const control = scriptedControl(sampleReport(), async (share) => {
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return sampleResult({ share });
  });
  const { server } = await startRig(t, { control, clock });
  const answer = talk(server.socketPath, post("mount", "{}"));
  await eventually(() => control.calls.length === 1);
  await clock.advance(2_000);
  await clock.advance(2_500);
  finish();
  const { text, status } = await answer;
  assert.equal(status, 200);
  assert.equal(text.match(/102 Processing/g)?.length, 2);
});

test("a client that sends too slowly is cut, with a reason if it began", async (t) => {
  const clock = createManualClock();
  const { server } = await startRig(t, { clock });
  const silent = talk(server.socketPath, "");
  const inHead = talk(server.socketPath, "POST /manage/v1/mount HT");
  const inBody = talk(
    server.socketPath,
    "POST /manage/v1/mount HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
  );
  await eventually(() => clock.pendingTimers === 3);
  await clock.advance(10_000);
  for (const answer of await Promise.all([silent, inHead, inBody])) assertError(answer, 408, /in time/);
  assert.equal(clock.pendingTimers, 0);
});

test("a client that does not read its answer is cut", async (t) => {
  const clock = createManualClock();
  const shares = Array.from({ length: 20_000 }, (_, index) => sampleShare({ name: `S${index}` }));
  const { server } = await startRig(t, { clock, control: scriptedControl(sampleReport(shares)) });
  const socket = connect(server.socketPath, () => socket.write(get("status")));
  await once(socket, "data");
  socket.pause();
  await passTimeUntil(clock, () => clock.pendingTimers === 0, 5_000);
  let bytes = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    bytes += chunk.length;
  });
  socket.resume();
  await once(socket, "close");
  assert.ok(bytes < 1_000_000, `${bytes} bytes came`);
});

test("beyond 32 changing requests at once the rest is refused, and status is still answered", async (t) => {
  const release = new AbortController();
  const control = scriptedControl(sampleReport(), async (share) => {
    if (!release.signal.aborted) await once(release.signal, "abort");
    return sampleResult({ share });
  });
  const { server } = await startRig(t, { control });
  const waiting = Array.from({ length: 32 }, () => talk(server.socketPath, post("mount", "{}")));
  await eventually(() => control.calls.length === 32);
  assertError(
    await talk(server.socketPath, post("mount", "{}")),
    503,
    /32 requests are under way/,
    "daemon_unreachable",
  );
  assert.equal((await talk(server.socketPath, get("status"))).status, 200);
  release.abort();
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
  assert.equal((await talk(server.socketPath, post("mount", "{}"))).status, 200);
});

test("the socket and the record are readable by their owner only, and identify the daemon", async (t) => {
  const { home, server } = await startRig(t);
  assert.equal(server.socketPath, join(home, "mountaineer.sock"));
  assert.equal((await stat(server.socketPath)).mode & 0o777, 0o600);
  assert.equal((await stat(join(home, "daemon.json"))).mode & 0o777, 0o600);
  const note = JSON.parse(await readFile(join(home, "daemon.json"), "utf8"));
  assert.deepEqual(Object.keys(note), ["pid", "socket", "version", "started_at", "home"]);
  assert.equal(note.pid, process.pid);
  assert.equal(note.socket, server.socketPath);
  assert.equal(note.version, "0.1.0-test");
  assert.ok(Date.parse(note.started_at) <= Date.now());
  assert.deepEqual((await readdir(home)).sort(), ["daemon.json", "mountaineer.sock"]);
});

test("a wide-open umask does not change these modes", async (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const { home, server } = await startRig(t);
  assert.equal((await stat(server.socketPath)).mode & 0o777, 0o600);
  assert.equal((await stat(join(home, "daemon.json"))).mode & 0o777, 0o600);
});

test("a socket left by a dead daemon is replaced, and so is a half-made one", async (t) => {
  const home = await temporaryFolder(t);
  const dead = createServer().listen(join(home, "mountaineer.sock.tmp"));
  await once(dead, "listening");
  // Renamed away, it is not removed on close, as after a kill -9.
  await rename(join(home, "mountaineer.sock.tmp"), join(home, "mountaineer.sock"));
  await new Promise((resolve) => dead.close(resolve));
  await mkdir(join(home, ".sock"));
  await writeFile(join(home, ".sock", "s"), "");
  const { server } = await startRig(t, { home });
  assert.equal((await talk(server.socketPath, get("status"))).status, 200);
  assert.deepEqual((await readdir(home)).sort(), ["daemon.json", "mountaineer.sock"]);
});

test("a file at the socket's path that is not a socket is not touched", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "mountaineer.sock"), "mine");
  await assert.rejects(startRig(t, { home }), { code: "path_taken" });
  assert.equal(await readFile(join(home, "mountaineer.sock"), "utf8"), "mine");
  assert.deepEqual(await readdir(home), ["mountaineer.sock"]);
});

test("in a home whose path is too long for a socket it is a short one in a private folder, with a record", async (t) => {
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const { server } = await startRig(t, { home });
  const folder = dirname(server.socketPath);
  assert.ok(Buffer.byteLength(server.socketPath) <= 100);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.equal((await stat(server.socketPath)).mode & 0o777, 0o600);
  assert.equal(JSON.parse(await readFile(join(home, "daemon.json"), "utf8")).socket, server.socketPath);
  assert.equal((await talk(server.socketPath, get("status"))).status, 200);
  await server[Symbol.asyncDispose]();
  await assert.rejects(access(folder), { code: "ENOENT" });
  assert.deepEqual(await readdir(home), []);
});

test("the short folder left by a killed daemon is removed by the next one", async (t) => {
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const { server: killed } = await startRig(t, { home });
  const { server } = await startRig(t, { home });
  assert.notEqual(server.socketPath, killed.socketPath);
  await assert.rejects(access(dirname(killed.socketPath)), { code: "ENOENT" });
});

test("a record that names a foreign folder's socket does not cause its removal", async (t) => {
  const other = join(await temporaryFolder(t), "other");
  await mkdir(other);
  await writeFile(join(other, "sock"), "");
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const note = { pid: 1, socket: join(other, "sock"), version: "", started_at: "" };
  await writeFile(join(home, "daemon.json"), JSON.stringify(note));
  await startRig(t, { home });
  await access(join(other, "sock"));
});

test("a record that names another file in a short folder does not cause its removal", async (t) => {
  const { server: killed } = await startRig(t, { home: join(await temporaryFolder(t), "x".repeat(100)) });
  const other = join(dirname(killed.socketPath), "other");
  await writeFile(other, "");
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const note = { pid: 1, socket: other, version: "", started_at: "" };
  await writeFile(join(home, "daemon.json"), JSON.stringify(note));
  await startRig(t, { home });
  await rm(other);
});

test("ending removes socket and record, cuts idle connections and aborts requests in progress", async (t) => {
  const control = scriptedControl(sampleReport(), async (_share, { signal }) => {
    await once(signal, "abort");
    throw signal.reason;
  });
  const { home, server } = await startRig(t, { control });
  const idle = talk(server.socketPath, "");
  const asking = talk(server.socketPath, post("mount", "{}"));
  await eventually(() => control.calls.length === 1);
  await server[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  assert.equal((await idle).text, "");
  assertError(await asking, 503, /ended before it was done; it is not known/, "daemon_unreachable");
  assert.deepEqual(await readdir(home), []);
});

test("a failure caused by the end is reported as that, and other failures keep their own message", async (t) => {
  for (const [failure, code] of [
    [new MountaineerError("aborted", "cancelled"), "daemon_unreachable"],
    [new TypeError("x is undefined"), "daemon_unreachable"],
    [new MountaineerError("lock_held", "somebody changes this home"), "lock_held"],
  ] as const) {
    const control = scriptedControl(sampleReport(), async (_share, { signal }) => {
      await once(signal, "abort");
      throw failure;
    });
    const { server } = await startRig(t, { control });
    const asking = talk(server.socketPath, post("mount", "{}"));
    await eventually(() => control.calls.length === 1);
    await server[Symbol.asyncDispose]();
    assert.equal(JSON.parse((await asking).body).error.code, code);
  }
});

test("ending does not wait longer than a second for a request that does not end", async (t) => {
  const clock = createManualClock();
  const control = scriptedControl(sampleReport(), () => new Promise(() => {}));
  const { server } = await startRig(t, { control, clock });
  const asking = talk(server.socketPath, post("mount", "{}"));
  await eventually(() => control.calls.length === 1);
  const before = clock.pendingTimers;
  const ended = server[Symbol.asyncDispose]();
  await eventually(() => clock.pendingTimers > before);
  await clock.advance(1_000);
  await ended;
  assert.equal((await asking).text, "");
});

test("ending does not touch the socket and the record of a successor", async (t) => {
  const { home, server } = await startRig(t);
  const { server: successor } = await startRig(t, { home });
  await server[Symbol.asyncDispose]();
  assert.equal((await talk(successor.socketPath, get("status"))).status, 200);
});

const STREAM = "events/stream";

function listenTo(t: TestContext, socketPath: string, headers = "", query = "") {
  const socket = connect(socketPath, () =>
    socket.write(`GET /manage/v1/${STREAM}${query} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`),
  );
  t.after(() => socket.destroy());
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.on("error", () => {});
  return { socket, text: () => text, closed: once(socket, "close") };
}

/** The frames of a chunked answer, as [id, data]. */
function framesOf(text: string): [string, unknown][] {
  return [...text.matchAll(/id: (\d+)\ndata: (.*)\n\n/g)].map(([, id = "", data = ""]) => [
    id,
    JSON.parse(data),
  ]);
}

test("B8 events reach every listener as they happen, with ids", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const [one, two] = [listenTo(t, server.socketPath), listenTo(t, server.socketPath)];
  await eventually(() => config.listenerCount === 2);
  const sync = { kind: "sync", event: sampleSyncEvent({ details: "zwei\nZeilen 🎬" }) } as const;
  config.emit(sync);
  config.emit(sampleSyncState());
  for (const listening of [one, two]) {
    await eventually(() => framesOf(listening.text()).length === 2);
    assert.match(listening.text(), /^HTTP\/1.1 200 OK\r\nContent-Type: text\/event-stream/);
    assert.deepEqual(framesOf(listening.text()), [
      ["1", sync],
      ["2", sampleSyncState()],
    ]);
  }
});

test("F4 counters reach clients that request them, without an id, and no others", async (t) => {
  const passers = new Set<(event: FlowEvent) => void>();
  const config = {
    ...scriptedConfig(),
    flow: (listener: (event: FlowEvent) => void) => {
      passers.add(listener);
      return () => void passers.delete(listener);
    },
  };
  const { server } = await startRig(t, { config });
  const one = listenTo(t, server.socketPath, "", "?flow");
  const other = listenTo(t, server.socketPath);
  await eventually(() => passers.size === 1 && other.text() !== "");
  const flow: FlowEvent = { kind: "flow", shares: [], backends: [{ name: "files", calls: 2 }], clients: [] };
  for (const pass of passers) pass(flow);
  await eventually(() => one.text().includes(`\ndata: ${JSON.stringify(flow)}\n\n`));
  assert.doesNotMatch(one.text() + other.text(), /id: /);
  assert.doesNotMatch(other.text(), /flow/);
  one.socket.destroy();
  await eventually(() => passers.size === 0);
});

test("with Last-Event-ID the later events are replayed first, followed directly by new ones", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  for (let id = 1; id <= 5; id++) config.emit({ kind: "sync", event: sampleSyncEvent({ id }) });
  const listening = listenTo(t, server.socketPath, "Last-Event-ID: 3\r\n");
  await eventually(() => config.listenerCount === 1);
  config.emit(sampleSyncState());
  await eventually(() => framesOf(listening.text()).length === 3);
  assertEach(framesOf(listening.text()), ([id]) => id, ["4", "5", "6"]);
});

test("an invalid Last-Event-ID, another method, and a server without configuration are refused in JSON", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const bad = await talk(
    server.socketPath,
    `GET /manage/v1/${STREAM} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: x\r\n\r\n`,
  );
  assert.deepEqual([bad.status, JSON.parse(bad.body).error.code], [400, "protocol"]);
  const posted = await talk(server.socketPath, post(STREAM, "{}"));
  assert.equal(posted.status, 405);
  assert.match(posted.headers, /allow: GET/i);
  const { server: without } = await startRig(t);
  assert.equal((await talk(without.socketPath, get(STREAM))).status, 404);
  assert.equal((await talk(without.socketPath, get("sync"))).status, 404);
});

test("a reader that sends more than its request is cut, and no error appears among its events", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => listening.text().includes(": connected"));
  listening.socket.write("not http\r\n\r\n");
  await listening.closed;
  assert.doesNotMatch(listening.text(), /HTTP\/1\.1 400/);
});

test("a stream without events sends a sign of life every 15 s", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => listening.text().includes(": connected"));
  const beats = () => listening.text().match(/^:\n\n/gm)?.length ?? 0;
  for (let beat = 1; beat <= 3; beat++) {
    await clock.advance(HEARTBEAT_MS);
    await eventually(() => beats() === beat);
  }
});

test("a client that leaves is forgotten, timers and all", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1 && clock.pendingTimers === 1);
  listening.socket.destroy();
  await eventually(() => config.listenerCount === 0 && clock.pendingTimers === 0);
});

test("a reader that is too slow is dropped with a gap, whose id is where to resume; others are not", async (t) => {
  const config = scriptedConfig();
  const logger = createRecordingLogger();
  const { server } = await startRig(t, { config, logger });
  const slow = listenTo(t, server.socketPath);
  const quick = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 2 && slow.text().includes(": connected"));
  slow.socket.pause();
  const details = "x".repeat(50_000);
  let emitted = 0;
  await eventually(() => {
    config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
    emitted += 1;
    return config.listenerCount === 1;
  });
  assert.ok(emitted > 40, `dropped after ${emitted}`);
  await eventually(() => framesOf(quick.text()).length === emitted);
  slow.socket.resume();
  await slow.closed;
  const frames = framesOf(slow.text());
  assert.deepEqual(frames.at(-1), [String(emitted), { kind: "gap" }]);
  // What came before the gap is whole and in order.
  assertEach(
    frames.slice(0, -1),
    ([id]) => id,
    frames.slice(0, -1).map((_, index) => String(index + 1)),
  );
  assert.ok(logger.lines.some(({ message }) => /too slowly/.test(message)));
});

test("a replay that is too long for one reader ends in a gap after all of it", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const details = "x".repeat(50_000);
  for (let id = 1; id <= 100; id++) config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
  const listening = listenTo(t, server.socketPath, "Last-Event-ID: 0\r\n");
  await listening.closed;
  assert.deepEqual(framesOf(listening.text()).at(-1), ["100", { kind: "gap" }]);
  assert.equal(config.listenerCount, 0);
});

test("a dropped reader that never reads is cut", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const slow = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1);
  slow.socket.pause();
  const details = "x".repeat(50_000);
  await eventually(() => {
    config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
    return config.listenerCount === 0;
  });
  await passTimeUntil(clock, () => clock.pendingTimers === 0, 5_000);
});

test("beyond the limit of listeners the last is refused, and everything else is still answered", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  for (let count = 0; count < LISTENER_LIMIT; count++) listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === LISTENER_LIMIT);
  const refused = await talk(server.socketPath, get(STREAM));
  assert.equal(refused.status, 503);
  assert.match(JSON.parse(refused.body).error.message, /32 listeners/);
  assert.equal((await talk(server.socketPath, get("sync"))).status, 200);
});

test("when the server ends, its streams end in order", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1);
  config.emit(sampleSyncState());
  await server[Symbol.asyncDispose]();
  await listening.closed;
  assert.equal(framesOf(listening.text()).length, 1);
  assert.match(listening.text(), /\r\n0\r\n\r\n$/);
  assert.equal(config.listenerCount, 0);
});
