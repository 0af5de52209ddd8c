import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, headers, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { Calls, type CallsOptions } from "../../../src/fleet/calls/calls.ts";
import type { ImportedOffer } from "../../../src/fleet/calls/tunnel-registry.ts";
import { probePermissions } from "../../../src/fleet/enrollment/fleet-check.ts";
import { type Membership, storedAuthority } from "../../../src/fleet/enrollment/membership.ts";
import { userSeed } from "../../../src/fleet/keys/nkey.ts";
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
} from "../../../src/fleet/nats/subjects.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { forWholeFile } from "../../support/whole-file.ts";
import { linkOptions, needsNats, startMember, startNats } from "../nats-rig.ts";
import { found, invited, joined, keptBy, LACKS_SERVER, type Machine, machines, present } from "./homes.ts";

const REAL = { skip: LACKS_SERVER };

async function signedIn(t: Scope, machine: Machine, membership: Membership): Promise<NatsConnection> {
  const { seed, authority } = await keptBy(machine, membership);
  const connection = await connect({
    servers: [membership.address],
    tls: { ca: authority },
    authenticator: nkeyAuthenticator(new TextEncoder().encode(userSeed(seed))),
    inboxPrefix: inboxOf(membership.name),
    reconnect: false,
  });
  t.after(() => connection.close());
  return connection;
}

const fleet = forWholeFile(async (t) => {
  const [nas, laptop] = present(await machines(t, 2));
  const first = await found(nas);
  const open = await invited(nas);
  const second = await joined(laptop, open.code);
  await open.guest;
  return { nas, laptop, first, second };
});

async function fleetOfTwo(t: Scope): Promise<readonly [NatsConnection, NatsConnection]> {
  const { nas, laptop, first, second } = await fleet();
  return [await signedIn(t, nas, first), await signedIn(t, laptop, second)];
}

/** What the server says of it, after the fact. */
async function refusals(connection: NatsConnection, act: () => void): Promise<string[]> {
  const seen: string[] = [];
  const status = connection.status();
  void (async () => {
    for await (const event of status) if (event.type === "error") seen.push(event.error.message);
  })();
  act();
  await eventually(() => seen.length > 0);
  return seen;
}

test(
  "G1 a machine writes its own key and reads all; the server refuses writes to another's",
  REAL,
  async (t) => {
    const [nas, laptop] = await fleetOfTwo(t);
    const [ofNas, ofLaptop] = [await new Kvm(nas).open(BUCKET), await new Kvm(laptop).open(BUCKET)];
    await ofNas.put("nas", "a NAS");
    await ofLaptop.put("laptop", "a laptop");
    assert.equal((await ofLaptop.get("nas"))?.string(), "a NAS");
    assert.equal((await ofNas.get("laptop"))?.string(), "a laptop");
    const lies = [
      () => ofLaptop.put("nas", "a lie"),
      () => ofLaptop.delete("nas"),
      () => ofNas.put("laptop", "a lie"),
    ];
    for (const lie of lies) await assert.rejects(lie(), /permissions? violation/i);
    assert.equal((await ofLaptop.get("nas"))?.string(), "a NAS");
  },
);

test("G1 a machine publishes only its own beats, and receives no answers to others", REAL, async (t) => {
  const [nas, laptop] = await fleetOfTwo(t);
  const heard: string[] = [];
  nas.subscribe(beatSubject("*"), { callback: (_error, { subject }) => void heard.push(subject) });
  await nas.flush();
  laptop.publish(beatSubject("laptop"), "one");
  const said = await refusals(laptop, () => {
    laptop.publish(beatSubject("nas"), "a lie");
    laptop.publish(rollCallSubject("nas"));
    laptop.subscribe(`${inboxOf("nas")}.>`);
    laptop.subscribe("_INBOX.>");
    laptop.subscribe(">");
    laptop.subscribe("mountaineer.join.>");
  });
  await eventually(() => said.length >= 6 && heard.length > 0);
  assert.deepEqual(heard, [beatSubject("laptop")]);
});

test("G1 a machine calls only under its name, and receives only messages for it", REAL, async (t) => {
  const [nas, laptop] = await fleetOfTwo(t);
  const heard: string[] = [];
  for (const subject of [callSubject("*", "nas"), offerSubject("*"), requestSubject("*")]) {
    nas.subscribe(subject, { callback: (_error, message) => void heard.push(message.subject) });
  }
  await nas.flush();
  const told = [callSubject("laptop", "nas"), offerSubject("laptop"), requestSubject("laptop")];
  for (const subject of told) laptop.publish(subject, "one");
  const said = await refusals(laptop, () => {
    laptop.publish(callSubject("nas", "laptop"), "a lie");
    laptop.publish(callSubject("desktop", "nas"), "a lie");
    laptop.publish(offerSubject("nas"), "a lie");
    laptop.publish(unheardInbox("nas", "laptop"), "a lie");
    laptop.subscribe(callSubject("*", "nas"));
    laptop.subscribe(unheardInbox("nas", "*"));
  });
  await eventually(() => said.length >= 6 && heard.length === told.length);
  assert.deepEqual(heard.toSorted(), told.toSorted());
});

test(
  "G1 machines that joined call each other, over TLS and with their granted permissions",
  REAL,
  async (t) => {
    const { nas, laptop, first, second } = await fleet();
    const calls = async (
      machine: Machine,
      membership: Membership,
      more: Partial<CallsOptions>,
    ): Promise<Calls> => {
      const { seed, authority } = await keptBy(machine, membership);
      const tlsCa = join(await temporaryFolder(t), "ca.pem");
      await writeFile(tlsCa, authority);
      const { name, address } = membership;
      const lists = more.serve === undefined ? { import: ["*"] } : { export: ["files"] };
      const running = new Calls({
        ...linkOptions({ url: `tls://${address}`, name, seed: userSeed(seed) }, { tlsCa, ...lists }),
        exported: () => ["files"],
        serve() {},
        onImported() {},
        ...more,
      });
      t.after(() => running.end(0));
      return running;
    };
    const callers: string[] = [];
    await calls(nas, first, {
      serve(machine, _backend, stream) {
        callers.push(machine);
        stream.pipe(stream);
      },
    });
    const borrowing = Promise.withResolvers<ImportedOffer>();
    const borrower = await calls(laptop, second, {
      onImported: ([backend]) => {
        if (backend !== undefined) borrowing.resolve(backend);
      },
    });
    const stream = borrower.open(await borrowing.promise, () => {});
    let said = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
    stream.write("hello");
    await eventually(() => said === "hello");
    assert.deepEqual(callers, [second.name]);
  },
);

test("G1 only the machine with the server makes, changes or empties its stores", REAL, async (t) => {
  const [, laptop] = await fleetOfTwo(t);
  const manager = await jetstreamManager(laptop, { checkAPI: false, timeout: 2_000 });
  const stream = `KV_${BUCKET}`;
  const attempts = [
    () => manager.streams.add({ name: "OTHER", subjects: ["other"] }),
    () => manager.streams.update(stream, { max_msgs: 1 }),
    () => manager.streams.purge(stream),
    () => manager.streams.delete(stream),
    () => manager.streams.deleteMessage(stream, 1),
  ];
  for (const attempt of attempts) await assert.rejects(attempt(), /permissions? violation/i);
});

test("G1 no machine deletes others' entries", REAL, async (t) => {
  const [nas, laptop] = await fleetOfTwo(t);
  const [ofNas, ofLaptop] = [await new Kvm(nas).create(BUCKET), await new Kvm(laptop).create(BUCKET)];
  await ofNas.put("nas", "a NAS");
  for (const reach of ["all", "sub"]) {
    const sweeping = headers();
    sweeping.set("Nats-Rollup", reach);
    await laptop.request(`$KV.${BUCKET}.laptop`, "a lie", { headers: sweeping, timeout: 5_000 });
  }
  assert.equal((await ofLaptop.get("nas"))?.string(), "a NAS");
  await ofLaptop.put("laptop", "a laptop");
  await ofLaptop.delete("laptop");
});

test("G1 no one connects without a key, or with an unknown one", REAL, async () => {
  const { nas, first } = await fleet();
  const ca = (await storedAuthority(nas.home)) ?? "";
  const stranger = nkeyAuthenticator(new TextEncoder().encode(userSeed(Buffer.alloc(32, 7))));
  for (const more of [{}, { authenticator: stranger }, { user: "nas", pass: "nas" }]) {
    await assert.rejects(
      connect({ servers: [first.address], tls: { ca }, reconnect: false, ...more }),
      /authorization/i,
    );
  }
  // Its certificate is of its own authority, which nobody else's list has.
  await assert.rejects(connect({ servers: [first.address], reconnect: false }), /certificate/i);
});

const { signal } = new AbortController();
const USE = { calls: true, sessions: false };

function probedAt(
  server: string,
  seed: string,
  authority: string | null,
  use: typeof USE & { name: string },
) {
  const credentials = { kind: "nkey", seed } as const;
  const { name } = use;
  return probePermissions({ server, name, credentials, authority, clock: systemClock, use }, signal);
}

async function probed(machine: Machine, membership: Membership) {
  const { seed, authority } = await keptBy(machine, membership);
  const { name, address } = membership;
  return probedAt(`tls://${address}`, userSeed(seed), authority, { ...USE, name });
}

test("G1 fleet init grants exactly the permissions that each machine needs", REAL, async () => {
  const { nas, laptop, first, second } = await fleet();
  assert.deepEqual(await probed(nas, first), { lacks: [], exceeds: [] });
  assert.deepEqual(await probed(laptop, second), { lacks: [], exceeds: [] });
});

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
    const probe = (name: string) => probedAt(rig.url, rig.key(name).seed, null, { ...USE, name });
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
test("G1 a machine that makes readers without end is stopped before the server is full", REAL, async (t) => {
  const [, laptop] = await fleetOfTwo(t);
  const readers = Array.from({ length: 1_025 }, async (_, count) => {
    const subject = `$JS.API.CONSUMER.CREATE.KV_${BUCKET}.reader${count}`;
    const config = { name: `reader${count}`, durable_name: `reader${count}`, ack_policy: "none" };
    const asked = JSON.stringify({ stream_name: `KV_${BUCKET}`, config });
    return (await laptop.request(subject, asked, { timeout: 30_000 })).string();
  });
  const refused = (await Promise.all(readers)).filter((answer) => answer.includes('"error"'));
  assert.equal(refused.length, 1);
  assert.match(refused[0] ?? "", /maximum consumers limit reached/);
});
