import assert from "node:assert/strict";
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import {
  connectToDaemon,
  connectToEndpoint,
  type DaemonClient,
  requirePrivate,
} from "../../../src/api/client/client.ts";
import type { StreamedEvent } from "../../../src/api/client/event-client.ts";
import { type FollowNotice, followDaemon } from "../../../src/api/client/follow-daemon.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { startImposter } from "../imposter.ts";
import { startRig } from "../management-rig.ts";
import { sampleSyncEvent, sampleSyncState, scriptedConfig } from "../sample-config.ts";

const TOKEN = "a-token-of-the-test";

/** Passes requests with the right token on to the daemon's socket, as its HTTP API does. */
async function openEndpoint(t: Scope, socketPath: string) {
  const seen: { auth: string | undefined; url: string | undefined }[] = [];
  let isStarting = false;
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    seen.push({ auth: request.headers.authorization, url: request.url });
    if (isStarting || request.headers.authorization !== `Bearer ${TOKEN}`) {
      const code = isStarting ? "daemon_unreachable" : "permission_denied";
      response.writeHead(isStarting ? 503 : 401, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ error: { code, message: `refused: ${code}`, hint: null } }));
      return;
    }
    const { method, url: path, headers } = request;
    const onwards = ask({ socketPath, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
      answer.once("error", () => response.destroy());
    });
    onwards.once("error", () => response.destroy());
    response.once("close", () => onwards.destroy());
    request.pipe(onwards);
  };
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: new URL(`http://127.0.0.1:${port}`),
    seen,
    starting(value: boolean): void {
      isStarting = value;
    },
  };
}

async function* eventsOf(
  client: DaemonClient,
  ...request: Parameters<DaemonClient["openEvents"]>
): AsyncGenerator<StreamedEvent, void, undefined> {
  using stream = await client.openEvents(...request);
  yield* stream.events;
}

async function socketOf(home: string): Promise<string> {
  const daemon = await connectToDaemon(home);
  assert.ok(daemon !== null);
  return daemon.socketPath;
}

test("F2 HTTP answers the same requests with the management token, including events, which resume after a break", async (t) => {
  const config = scriptedConfig();
  const { home } = await startRig(t, { config });
  const endpoint = await openEndpoint(t, await socketOf(home));
  const { signal } = new AbortController();
  const daemon = await connectToEndpoint({ origin: endpoint.origin, token: TOKEN }, signal);
  assert.equal((await daemon.call("status", null, signal)).global.pid, daemon.pid);
  assert.deepEqual((await daemon.call("reload", {}, signal)).summary, "settings reloaded");
  assert.ok(
    endpoint.seen.every(({ auth, url }) => auth === `Bearer ${TOKEN}` && !String(url).includes(TOKEN)),
  );

  const stop = new AbortController();
  t.after(() => stop.abort());
  const notices: FollowNotice[] = [];
  const follow = async (): Promise<void> => {
    const connect = () => connectToEndpoint({ origin: endpoint.origin, token: TOKEN }, stop.signal);
    for await (const notice of followDaemon(connect, { signal: stop.signal })) notices.push(notice);
  };
  endpoint.starting(true);
  const following = follow();
  await eventually(() => notices.some(({ kind }) => kind === "lost"));
  endpoint.starting(false);
  await eventually(() => notices.at(-1)?.kind === "connected");
  config.emit({ kind: "transition", transition: { name: "share.mounted" } });
  await eventually(() => notices.at(-1)?.kind === "event");
  stop.abort();
  await following;
});

test("a wrong token is refused with the daemon's message, which does not repeat it", async (t) => {
  const { home } = await startRig(t, {});
  const endpoint = await openEndpoint(t, await socketOf(home));
  const wrong = "wrong-token-wrong-token";
  const { signal } = new AbortController();
  await assert.rejects(
    connectToEndpoint({ origin: endpoint.origin, token: wrong }, signal),
    (error: Error) => {
      assert.match(error.message, /refused: permission_denied/);
      return !JSON.stringify(error, Object.getOwnPropertyNames(error)).includes(wrong);
    },
  );
});

test("the token is sent to no address where others can read it", async () => {
  for (const url of [
    "https://nas.local",
    "http://127.0.0.1:9000",
    "http://localhost:9000",
    "http://[::1]:9000",
  ])
    assert.doesNotThrow(() => requirePrivate(new URL(url)), url);
  for (const url of ["http://192.168.1.2:9000", "http://nas.local", "http://127.0.0.1.evil.test"])
    assert.throws(() => requirePrivate(new URL(url)), { code: "usage" }, url);
  const endpoint = { origin: new URL("http://127.0.0.1.evil.test"), token: TOKEN };
  await assert.rejects(connectToEndpoint(endpoint, never), { code: "usage" });
});

const never = new AbortController().signal;
const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

async function clientAt(home: string, options = {}): Promise<DaemonClient> {
  const client = await connectToDaemon(home, options);
  assert.ok(client);
  return client;
}

/** Answers each request for events with these bytes, and leaves the connection open. */
async function imposter(t: TestContext, answer: string): Promise<{ home: string; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const home = await startImposter(t, (socket) => {
    socket.once("data", () => {
      sockets.push(socket);
      socket.write(answer);
    });
  });
  return { home, sockets };
}

async function failureOf(work: Promise<unknown>): Promise<MountaineerError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof MountaineerError, String(error));
    return error;
  }
  assert.fail("it did not reject");
}

async function all(events: AsyncIterable<StreamedEvent>): Promise<StreamedEvent[]> {
  return Array.fromAsync(events);
}

test("the daemon's events pass unchanged, until it ends", async (t) => {
  const config = scriptedConfig();
  const { home, server } = await startRig(t, { config });
  const client = await clientAt(home);
  using stream = await client.openEvents(never);
  assert.equal(config.listenerCount, 1);
  const told = [
    { kind: "sync", event: sampleSyncEvent({ details: "Füße 日本 🎬" }) },
    sampleSyncState(),
    { kind: "transition", transition: { name: "share.failover", share: "CORE", tookMs: 12 } },
    { kind: "gap" },
  ] as const;
  for (const event of told) config.emit(event);
  const heard = all(stream.events);
  await eventually(() => config.listenerCount === 1);
  await server[Symbol.asyncDispose]();
  assert.deepEqual(
    await heard,
    told.map((event, index) => ({ id: index + 1, event })),
  );
});

test("afterId begins after a stored event", async (t) => {
  const config = scriptedConfig();
  const { home } = await startRig(t, { config });
  for (let id = 1; id <= 4; id++) config.emit({ kind: "sync", event: sampleSyncEvent({ id }) });
  const ids: number[] = [];
  for await (const { id } of eventsOf(await clientAt(home), never, { afterId: 2 })) {
    ids.push(id);
    if (ids.length === 2) break;
  }
  assert.deepEqual(ids, [3, 4]);
  // A reader that stops reading has ended its connection.
  await eventually(() => config.listenerCount === 0);
});

test("a daemon that accepts and never answers is a hang after 6 s", async (t) => {
  const { home, sockets } = await imposter(t, "");
  const clock = createManualClock();
  const opening = (await clientAt(home, { clock })).openEvents(never);
  opening.catch(() => {});
  await eventually(() => sockets.length === 1);
  await clock.advance(6_000);
  assert.match((await failureOf(opening)).message, /nothing for 6 s/);
});

test("a connection that breaks is `daemon_unreachable`", async (t) => {
  const { home, sockets } = await imposter(t, HEAD + chunk(": connected\n\n"));
  const reading = all(eventsOf(await clientAt(home), never));
  reading.catch(() => {});
  (await eventually(() => sockets[0])).destroy();
  assert.equal((await failureOf(reading)).code, "daemon_unreachable");
});
