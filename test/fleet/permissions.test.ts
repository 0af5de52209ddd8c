import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { probePermissions } from "../../src/fleet/fleet-check.ts";
import { BUCKET_STREAM, openSession } from "../../src/fleet/fleet-session.ts";
import {
  BUCKET,
  beatSubject,
  callSubject,
  inboxOf,
  offerSubject,
  requestSubject,
  rollCallSubject,
  STREAM,
  unheardInbox,
} from "../../src/fleet/nats/subjects.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import type { Scope } from "../support/temporary-folder.ts";
import { forWholeFile } from "../support/whole-file.ts";
import { makeKey, needsNats, permissionsOf, startMember, startNats } from "./nats-rig.ts";

const { signal } = new AbortController();

/** A server with the lines of two machines, of which the first has made the bucket. */
const server = forWholeFile(async (t) => {
  const permissions = { nas: permissionsOf("nas"), laptop: permissionsOf("laptop") };
  const rig = await startNats(t, { permissions });
  const events = { summary() {}, removed() {}, caughtUp() {}, beat() {}, rollCall() {} };
  const credentials = { kind: "nkey", seed: rig.key("nas").seed } as const;
  const options = { server: rig.url, name: "nas", authority: null, events, clock: systemClock, credentials };
  await using _session = await openSession(options, signal);
  return rig;
});

async function signedIn(t: Scope, name: string): Promise<NatsConnection> {
  const { url, key } = await server();
  const connection = await connect({
    servers: [url],
    authenticator: nkeyAuthenticator(new TextEncoder().encode(key(name).seed)),
    inboxPrefix: inboxOf(name),
    reconnect: false,
  });
  t.after(() => connection.close());
  return connection;
}

test(
  "G1 a machine writes and calls only under its own name, and receives only what is for it",
  needsNats,
  async (t) => {
    const [nas, laptop] = [await signedIn(t, "nas"), await signedIn(t, "laptop")];
    const heard: string[] = [];
    for (const subject of [beatSubject("*"), callSubject("*", "nas"), offerSubject("*"), requestSubject("*")])
      nas.subscribe(subject, { callback: (_error, message) => void heard.push(message.subject) });
    await nas.flush();
    const refused: string[] = [];
    void (async () => {
      for await (const event of laptop.status())
        if (event.type === "error") refused.push(event.error.message);
    })();
    const said = [beatSubject, offerSubject, requestSubject].map((subject) => subject("laptop"));
    said.push(callSubject("laptop", "nas"));
    const lies = [beatSubject, rollCallSubject, offerSubject].map((subject) => subject("nas"));
    lies.push(`$KV.${BUCKET}.nas`, callSubject("nas", "laptop"), callSubject("desktop", "nas"));
    lies.push(unheardInbox("nas", "laptop"));
    for (const subject of [...said, ...lies]) laptop.publish(subject, "one");
    const others = [
      ">",
      "_INBOX.>",
      `${inboxOf("nas")}.>`,
      callSubject("*", "nas"),
      unheardInbox("nas", "*"),
    ];
    for (const subject of others) laptop.subscribe(subject);
    await eventually(() => refused.length === lies.length + others.length && heard.length === said.length);
    assert.deepEqual(heard.toSorted(), said.toSorted());
    for (const subject of [...lies, ...others])
      assert.ok(
        refused.some((text) => text.includes(`"${subject}"`)),
        subject,
      );
  },
);

test(
  "G1 a bucket that is there is neither made again, changed, emptied nor removed by a machine",
  needsNats,
  async (t) => {
    const laptop = await signedIn(t, "laptop");
    const manager = await jetstreamManager(laptop, { checkAPI: false, timeout: 2_000 });
    const attempts = [
      () => manager.streams.add({ name: "OTHER", subjects: ["other"] }),
      () => manager.streams.update(STREAM, { max_msgs: 1 }),
      () => manager.streams.purge(STREAM),
      () => manager.streams.delete(STREAM),
      () => manager.streams.deleteMessage(STREAM, 1),
    ];
    for (const attempt of attempts) await assert.rejects(attempt(), /permissions? violation/i);
    // It would let one message remove all others.
    const again = { ...BUCKET_STREAM, subjects: [...BUCKET_STREAM.subjects], allow_rollup_hdrs: true };
    await assert.rejects(manager.streams.add(again), /already in use/);
  },
);

test("G1 no one connects without a key, or with an unknown one", needsNats, async () => {
  const { url } = await server();
  const stranger = nkeyAuthenticator(new TextEncoder().encode(makeKey().seed));
  for (const more of [{}, { authenticator: stranger }, { user: "nas", pass: "nas" }])
    await assert.rejects(connect({ servers: [url], reconnect: false, ...more }), /authorization/i);
});

const USE = { calls: true, sessions: false };

function probedAt(server: string, seed: string, use: typeof USE & { name: string }) {
  const credentials = { kind: "nkey", seed } as const;
  const { name } = use;
  return probePermissions({ server, name, credentials, authority: null, clock: systemClock, use }, signal);
}

test(
  "G1 the line of fleet key permits exactly what a machine needs, as the docs list it",
  needsNats,
  async () => {
    const { url, key } = await server();
    for (const name of ["nas", "laptop"])
      assert.deepEqual(await probedAt(url, key(name).seed, { ...USE, name }), { lacks: [], exceeds: [] });
    const page = await readFile(join(import.meta.dirname, "../../docs/reference/fleet.md"), "utf8");
    const rows = page.slice(page.indexOf("## Permissions")).match(/^\| `.*?\|/gm) ?? [];
    const listed = rows.flatMap((row) => [...row.matchAll(/`(.+?)`/g)].map(([, subject]) => subject));
    const permitted = [...permissionsOf("NAME").matchAll(/"(.+?)"/g)].map(([, subject]) => subject);
    assert.deepEqual(listed.toSorted(), permitted.toSorted());
  },
);

test(
  "G1 a server that permits everything is reported, and the probe changes nothing there",
  needsNats,
  async (t) => {
    const rig = await startNats(t, {
      permissions: {
        desktop:
          'publish: { deny: ["mountaineer.fleet.*.rollcall"] }, subscribe: { deny: ["mountaineer.fleet.*.offer"] }',
      },
    });
    const member = startMember(t, rig, "laptop");
    const other = startMember(t, rig, "nas");
    await eventually(
      () => other.sees("laptop").presence === "here" && member.sees("nas").presence === "here",
    );
    const stranger = await rig.stranger("stranger");
    const manager = await jetstreamManager(stranger);
    const stored = async () => {
      const { state } = await manager.streams.info(STREAM);
      return [state.messages, state.consumer_count, state.last_seq];
    };
    const before = await stored();
    const probe = (name: string) => probedAt(rig.url, rig.key(name).seed, { ...USE, name });
    const { lacks, exceeds } = await probe("laptop");
    assert.deepEqual(lacks, []);
    assert.equal(exceeds.length, 6);
    assert.deepEqual(await stored(), before);
    assert.deepEqual(member.report().conditions, []);
    assert.deepEqual(pluck(other.report().machines, "name", "problem"), [
      ["nas", null],
      ["laptop", null],
    ]);
    assert.deepEqual(pluck((await probe("desktop")).lacks, "subject"), [
      "mountaineer.fleet.desktop.rollcall",
      "mountaineer.fleet.*.offer",
    ]);
  },
);

// The last: it leaves no room for any other reader.
test(
  "G1 a machine that makes readers without end is stopped before the server is full",
  needsNats,
  async (t) => {
    const laptop = await signedIn(t, "laptop");
    const readers = Array.from({ length: 1_025 }, async (_, count) => {
      const subject = `$JS.API.CONSUMER.CREATE.KV_${BUCKET}.reader${count}`;
      const config = { name: `reader${count}`, durable_name: `reader${count}`, ack_policy: "none" };
      const asked = JSON.stringify({ stream_name: `KV_${BUCKET}`, config });
      return (await laptop.request(subject, asked, { timeout: 30_000 })).string();
    });
    const refused = (await Promise.all(readers)).filter((answer) => answer.includes('"error"'));
    assert.equal(refused.length, 1);
    assert.match(refused[0] ?? "", /maximum consumers limit reached/);
  },
);
