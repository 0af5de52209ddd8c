import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { openCallsSession } from "../../../src/fleet/calls/calls-session.ts";
import { callSubject, STREAM } from "../../../src/fleet/subjects.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { makeKey, natsTest } from "../nats-rig.ts";

natsTest(
  "G1 what a member has the server deliver from a bucket is no word of another machine",
  async (t, rig) => {
    const heard: string[] = [];
    const session = await openCallsSession(
      {
        server: rig.url,
        name: "desktop",
        credentials: { kind: "nkey", seed: rig.key("desktop").seed },
        authority: null,
        clock,
        exports: true,
        imports: true,
        heard: {
          frame: (sender, bytes) => heard.push(`${sender} ${Buffer.from(bytes)}`),
          offer() {},
          asked() {},
          nobodyThere() {},
        },
      },
      new AbortController().signal,
    );
    t.after(() => session[Symbol.asyncDispose]());
    const member = await rig.stranger("stranger");
    const delivered: string[] = [];
    member.subscribe(callSubject("stranger", "desktop"), {
      callback: (_, { data }) => void delivered.push(Buffer.from(data).toString()),
    });
    const ask = async (what: string, question: object): Promise<void> => {
      const { data } = await member.request(`$JS.API.${what}`, JSON.stringify(question));
      assert.equal(JSON.parse(Buffer.from(data).toString()).error, undefined);
    };
    await ask(`STREAM.CREATE.${STREAM}`, { name: STREAM, subjects: ["$KV.mountaineer_fleet.>"] });
    await member.request("$KV.mountaineer_fleet.laptop", "what it told");
    const [deliver_subject, ack_policy] = [callSubject("stranger", "desktop"), "none"];
    await ask(`CONSUMER.CREATE.${STREAM}`, { stream_name: STREAM, config: { deliver_subject, ack_policy } });
    await eventually(async () => {
      member.publish(callSubject("nas", "desktop"), "its own");
      await member.flush();
      return heard.includes("nas its own");
    });
    assert.deepEqual([...new Set(heard)], ["nas its own"]);
  },
);

/** A server that takes everybody, and messages of a few bytes alone. */
const INFO = {
  server_id: "small",
  version: "2.11.0",
  proto: 1,
  headers: true,
  max_payload: 100,
  nonce: "nonce",
  auth_required: true,
};

test("G1 of a server that is of no use no connection stays", async (t) => {
  const server = createServer((socket) => {
    socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
    socket.on("data", (bytes) => {
      if (/^PING\r$/m.test(bytes.toString())) socket.write("PONG\r\n");
    });
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const connected: Promise<[Socket]> = once(server, "connection") as Promise<[Socket]>;
  const opening = openCallsSession(
    {
      server: `nats://127.0.0.1:${address.port}`,
      name: "desktop",
      credentials: { kind: "nkey", seed: makeKey().seed },
      authority: null,
      clock,
      exports: true,
      imports: true,
      heard: { frame() {}, offer() {}, asked() {}, nobodyThere() {} },
    },
    new AbortController().signal,
  );
  const [socket] = await connected;
  const closed = once(socket, "close", { signal: AbortSignal.timeout(60_000) });
  await assert.rejects(opening, /no messages of useful size/);
  await closed;
});
