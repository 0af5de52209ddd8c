import assert from "node:assert/strict";
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connectToDaemon, connectToDoor, requirePrivate } from "../../../src/api/client/client.ts";
import { type FollowNotice, followDaemon } from "../../../src/api/client/follow-daemon.ts";
import { eventually } from "../../support/eventually.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { startRig } from "../management-rig.ts";
import { scriptedConfig } from "../sample-config.ts";

const TOKEN = "a-token-of-the-test";

/** Passes requests with the right token on to the daemon's socket, as its door does. */
async function openDoor(t: Scope, socketPath: string) {
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

async function socketOf(home: string): Promise<string> {
  const daemon = await connectToDaemon(home);
  assert.ok(daemon !== null);
  return daemon.socketPath;
}

test("F2 over HTTP the same is asked with the management token, events too, which go on after a break", async (t) => {
  const config = scriptedConfig();
  const { home } = await startRig(t, { config });
  const door = await openDoor(t, await socketOf(home));
  const { signal } = new AbortController();
  const daemon = await connectToDoor({ origin: door.origin, token: TOKEN }, signal);
  assert.equal((await daemon.ask("status", null, signal)).global.pid, daemon.pid);
  assert.deepEqual((await daemon.ask("reload", {}, signal)).summary, "settings reloaded");
  assert.ok(door.seen.every(({ auth, url }) => auth === `Bearer ${TOKEN}` && !String(url).includes(TOKEN)));

  const stop = new AbortController();
  t.after(() => stop.abort());
  const notices: FollowNotice[] = [];
  const follow = async (): Promise<void> => {
    const connect = () => connectToDoor({ origin: door.origin, token: TOKEN }, stop.signal);
    for await (const notice of followDaemon(connect, { signal: stop.signal })) notices.push(notice);
  };
  door.starting(true);
  const following = follow();
  await eventually(() => notices.some(({ kind }) => kind === "lost"));
  door.starting(false);
  await eventually(() => notices.at(-1)?.kind === "connected");
  config.emit({ kind: "transition", transition: { name: "share.mounted" } });
  await eventually(() => notices.at(-1)?.kind === "event");
  stop.abort();
  await following;
});

test("a wrong token is refused with the daemon's words, which do not repeat it", async (t) => {
  const { home } = await startRig(t, {});
  const door = await openDoor(t, await socketOf(home));
  const wrong = "wrong-token-wrong-token";
  const { signal } = new AbortController();
  await assert.rejects(connectToDoor({ origin: door.origin, token: wrong }, signal), (error: Error) => {
    assert.match(error.message, /refused: permission_denied/);
    return !JSON.stringify(error, Object.getOwnPropertyNames(error)).includes(wrong);
  });
});

test("the token goes to no address where others can read it", () => {
  for (const url of [
    "https://nas.local",
    "http://127.0.0.1:9000",
    "http://localhost:9000",
    "http://[::1]:9000",
  ])
    assert.doesNotThrow(() => requirePrivate(new URL(url)), url);
  for (const url of ["http://192.168.1.2:9000", "http://nas.local", "http://127.0.0.1.evil.test"])
    assert.throws(() => requirePrivate(new URL(url)), { code: "usage" }, url);
});
