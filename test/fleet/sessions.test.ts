import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";
import { openSession } from "../../src/fleet/nats-session.ts";
import { BUCKET, STREAM } from "../../src/fleet/subjects.ts";
import { fetchAuthority, openLink } from "../../src/fleet/way-in/server-link.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey, needsNats, startNats } from "./nats-rig.ts";

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;

test("G1 sessions that end at whatever instant leave nothing behind", needsNats, async (t) => {
  const rig = await startNats(t);
  const { signal } = new AbortController();
  const heard = { summary() {}, removed() {}, caughtUp() {}, beat() {}, rollCall() {} };
  const { seed } = rig.key("laptop");
  const options = { server: rig.url, name: "laptop", authority: null, heard, clock: systemClock };
  const before = timers();
  for (let count = 0; count < 20; count++) {
    const session = await openSession({ ...options, credentials: { kind: "nkey", seed } }, signal);
    if (count % 2 === 0) await session.put("{}");
    const rest = session.listen();
    if (count % 3 === 0) rest();
    await session[Symbol.asyncDispose]();
  }
  // One timer may be of the last closing.
  assert.ok(timers() <= before + 1, `${timers()} timers`);
});

test("G1 a bucket that had to be made lets no machine sweep away what others told", needsNats, async (t) => {
  const rig = await startNats(t);
  const told = new Map<string, string>();
  const heard = {
    summary: (key: string, bytes: Uint8Array) => void told.set(key, new TextDecoder().decode(bytes)),
    removed: (key: string) => void told.delete(key),
    caughtUp() {},
    beat() {},
    rollCall() {},
  };
  const { seed } = rig.key("laptop");
  const credentials = { kind: "nkey", seed } as const;
  const options = { server: rig.url, authority: null, heard, clock: systemClock, credentials };
  const { signal } = new AbortController();
  await using session = await openSession({ ...options, name: "laptop" }, signal);
  session.listen();
  await session.put("a laptop");
  await eventually(() => told.get("laptop") === "a laptop");
  const liar = await connect({
    servers: [rig.url],
    authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
    reconnect: false,
  });
  t.after(() => liar.close());
  const sweeping = headers();
  sweeping.set("Nats-Rollup", "all");
  await liar.request(`$KV.${BUCKET}.desktop`, "a lie", { headers: sweeping, timeout: 5_000 });
  const { streams } = await jetstreamManager(liar);
  const { state } = await streams.info(STREAM, { subjects_filter: ">" });
  assert.deepEqual(Object.keys(state.subjects ?? {}), [`$KV.${BUCKET}.laptop`]);
});

test("G1 no socket stays open to a server that never greets", async (t) => {
  const closed: Promise<unknown>[] = [];
  const server = createServer((socket) => closed.push(once(socket.resume(), "close")));
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const signal = AbortSignal.timeout(30_000);
  const heard = { summary() {}, removed() {}, caughtUp() {}, beat() {}, rollCall() {} };
  const credentials = { kind: "nkey", seed: makeKey().seed } as const;
  const options = { name: "laptop", authority: null, heard, clock: systemClock, credentials };
  const link = { address: `127.0.0.1:${port}`, authority: "", seed: Buffer.alloc(32, 1), inbox: "_INBOX.x" };
  await Promise.all([
    assert.rejects(openSession({ ...options, server: `nats://127.0.0.1:${port}` }, signal), /no answer/),
    assert.rejects(openLink(link, signal), /timeout/),
  ]);
  assert.equal(closed.length, 2);
  await Promise.all(closed);
});

test("G1 a server that says one letter at a time does not hold up who joins", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("INFO ");
    const drip = setInterval(() => socket.write("x"), 500);
    socket.once("close", () => clearInterval(drip));
  });
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const fetching = fetchAuthority(`127.0.0.1:${port}`, Buffer.alloc(32), AbortSignal.timeout(30_000));
  await assert.rejects(fetching, /it gives no answer/);
});
