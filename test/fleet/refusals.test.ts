import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";
import { openSession } from "../../src/fleet/fleet-session.ts";
import { readCredentials } from "../../src/fleet/nats/sign-in.ts";
import { BUCKET, beatSubject, inboxOf, STREAM } from "../../src/fleet/nats/subjects.ts";
import { summaryText } from "../../src/fleet/summary.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import {
  type Member,
  makeKey,
  natsTest,
  needsNats,
  permissionsOf,
  startMember,
  startNats,
} from "./nats-rig.ts";
import { makeOperator } from "./operator-mode.ts";

/** Why there is no link, once that is known. */
async function reasonOf(member: Member): Promise<string> {
  const { link, conditions } = await eventually(() => {
    const report = member.report();
    return report.link.last_error !== null && report;
  });
  assert.equal(link.state, "away");
  assert.deepEqual(pluck(conditions, "code"), ["fleet_unreachable"]);
  return `${link.last_error} (${link.hint})`;
}

natsTest(
  "G1 credentials that the server does not know are reported, and are in no message",
  async (t, rig) => {
    const { seed } = makeKey();
    const member = startMember(t, rig, "laptop", { secret: seed });
    assert.match(await reasonOf(member), /refuses the credentials/);
    const told = JSON.stringify([member.report(), member.logger.lines]);
    assert.ok(!told.includes(seed.slice(0, 16)));
  },
);

test("G1 a secret that is missing, or not a key, is reported without its text", async (t) => {
  const rig = { url: "nats://127.0.0.1:9", key: makeKey };
  const missing = startMember(t, rig, "laptop", {
    credentials: { kind: "stored", name: "fleet" },
  });
  assert.match(await reasonOf(missing), /no secret fleet is stored/);
  const wrong = startMember(t, rig, "laptop", { secret: "hunter2 is my password" });
  const reason = await reasonOf(wrong);
  assert.match(reason, /neither the seed of an nkey/);
  assert.ok(!JSON.stringify([reason, wrong.report(), wrong.logger.lines]).includes("hunter2"));
});

test("G1 a server without JetStream is reported", needsNats, async (t) => {
  const rig = await startNats(t, { jetStream: false });
  assert.match(await reasonOf(startMember(t, rig, "laptop")), /JetStream is off.*nats-server -js/);
});

test(
  "G1 the permissions of fleet key are enough, and each machine writes only its own entries",
  needsNats,
  async (t) => {
    const desktopMay = permissionsOf("desktop", `$JS.API.STREAM.CREATE.${STREAM}`);
    const rig = await startNats(t, { permissions: { laptop: permissionsOf("laptop"), desktop: desktopMay } });
    const desktop = startMember(t, rig, "desktop");
    // Who may not make the bucket says so until it is there.
    assert.match(await reasonOf(desktop), /denied permission to publish .*STREAM\.CREATE/);
    const laptop = startMember(t, rig, "laptop");
    await eventually(() => desktop.sees("laptop").presence === "here");
    await eventually(() => laptop.sees("desktop").presence === "here");
    assert.deepEqual(desktop.report().conditions, []);
    // With another one's key, a machine cannot tell anything under this name.
    const liar = startMember(t, rig, "nas", { secret: rig.key("laptop").seed });
    assert.match(await reasonOf(liar), /denied permission/);
    assert.throws(() => desktop.sees("nas"));
  },
);

natsTest("G1 a stranger's entry in the bucket is shown as one, and harms no one", async (t, rig) => {
  const laptop = startMember(t, rig, "laptop");
  startMember(t, rig, "desktop");
  await eventually(() => laptop.sees("desktop").presence === "here");
  const bucket = await new Kvm(await rig.stranger("stranger")).open("mountaineer_fleet");
  await bucket.put("evil", "{{{");
  await bucket.put("a.b.c", "{}");
  await bucket.put("liar", summaryText({ ...summaryOf("desktop"), instance: "x" }));
  await eventually(() => laptop.sees("liar").problem?.includes("desktop"));
  assert.equal(laptop.sees("evil").presence, "unreadable");
  assert.equal(laptop.sees('"a.b.c"').presence, "unreadable");
  assert.equal(laptop.sees("desktop").presence, "here");
  // Its own entry, taken away by somebody: it is told again.
  await bucket.delete("desktop");
  const entry = await eventually(async () => {
    const found = await bucket.get("desktop");
    return found?.operation === "PUT" && found;
  });
  assert.equal(entry.json<{ name: string }>().name, "desktop");
  await eventually(() => laptop.sees("desktop").state !== null);
});

natsTest(
  "G1 an old entry in the bucket is not a sign of life, and a machine that has removed its own is gone",
  async (t, rig) => {
    const desktop = startMember(t, rig, "desktop");
    await eventually(() => desktop.report().link.state === "connected");
    const bucket = await new Kvm(await rig.stranger("stranger")).open("mountaineer_fleet");
    for (const name of ["one", "two"]) await bucket.put(name, summaryText(summaryOf(name)));
    const laptop = startMember(t, rig, "laptop");
    await eventually(() => laptop.sees("desktop").presence === "here");
    for (const name of ["one", "two"]) {
      const { presence, heard_secs_ago, state } = laptop.sees(name);
      assert.deepEqual([presence, heard_secs_ago, state?.version], ["unheard", null, "1"]);
    }
    assert.equal(desktop.sees("one").presence, "here", "it was told while this one listened");
    // The server loses all that it had, as one whose disk is new: nobody is kept who tells nothing any more.
    await rig.kill();
    await rm(join(rig.folder, "store"), { recursive: true });
    await rig.start();
    await eventually(
      () => laptop.report().machines.length === 2 && laptop.sees("desktop").presence === "here",
    );
  },
);

natsTest("G1 two machines with one name detect that, and report it", async (t, rig) => {
  const one = startMember(t, rig, "laptop");
  await eventually(() => one.report().link.state === "connected");
  const other = startMember(t, rig, "laptop");
  for (const member of [one, other]) {
    const condition = await eventually(() =>
      member.report().conditions.find(({ code }) => code === "fleet_name_taken"),
    );
    assert.equal(condition.severity, "error");
    assert.match(member.report().machines[0]?.problem ?? "", /another machine/);
    await eventually(() => Date.now() > Date.parse(condition.since) + 5);
    assert.deepEqual(member.report().conditions, [condition], "since when does not move");
  }
});

function summaryOf(name: string) {
  const state = { version: "1", shares: [], backends: [], conditions: [], cut: 0 };
  return { name, instance: "one", word: "here" as const, state };
}

const openssl = (...args: string[]) => promisify(execFile)("openssl", args);

/** A CA, and what a server on this machine shows that it signed. */
async function certificates(t: TestContext, names: string) {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const subject = ["-subj", "/CN=fleet test"];
  const fresh = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", ...subject];
  await openssl(...fresh, "-x509", "-days", "2", "-keyout", at("ca.key"), "-out", at("ca.pem"));
  await openssl(...fresh, "-keyout", at("server.key"), "-out", at("server.csr"));
  await writeFile(at("names"), `subjectAltName=${names}\n`);
  const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-extfile", at("names")];
  await openssl("x509", "-req", "-in", at("server.csr"), ...signed, "-days", "2", "-out", at("server.pem"));
  return { ca: at("ca.pem"), cert: at("server.pem"), key: at("server.key") };
}

for (const [host, names, wrongHost] of [
  ["127.0.0.1", "IP:127.0.0.1", "localhost"],
  ["localhost", "DNS:localhost", "127.0.0.1"],
] as const) {
  test(`G1 over TLS a machine accepts only ${host} itself, as the CA has signed it`, needsNats, async (t) => {
    const { ca, cert, key } = await certificates(t, names);
    const rig = await startNats(t, { tls: { cert, key } });
    const servers = [`tls://${host}:${rig.port}`];
    const member = startMember(t, rig, "laptop", { servers, tlsCa: ca });
    await eventually(() => member.report().link.state === "connected");
    const strangers = startMember(t, rig, "desktop", { servers });
    assert.match(await reasonOf(strangers), /certificate/);
    const elsewhere = startMember(t, rig, "nas", { servers: [`tls://${wrongHost}:${rig.port}`], tlsCa: ca });
    assert.match(await reasonOf(elsewhere), /does not match/);
    const { ca: tlsCa } = await certificates(t, names);
    assert.match(await reasonOf(startMember(t, rig, "desktop", { servers, tlsCa })), /certificate|verif/);
    const nowhere = startMember(t, rig, "nas", { servers, tlsCa: join(rig.folder, "nothing.pem") });
    assert.match(await reasonOf(nowhere), /tls_ca cannot be read/);
  });
}

test("G1 a server that offers no TLS where it was required learns nothing", needsNats, async (t) => {
  const heard: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => heard.push(chunk.toString("latin1")));
    socket.write(
      'INFO {"server_id":"x","version":"2.9.10","proto":1,"max_payload":1048576,"nonce":"abc"}\r\n',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const rig = { url: `tls://127.0.0.1:${port}`, key: makeKey };
  const member = startMember(t, rig, "laptop");
  assert.match(await reasonOf(member), /tls/i);
  assert.deepEqual(heard, []);
});

const { seed } = makeKey();
const JWT = "eyJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJVIn0.c2lnbmF0dXJl";
const CREDS = `-----BEGIN NATS USER JWT-----
${JWT}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;

test("G1 a machine signs in with the seed of an nkey, or with the text of a .creds file", () => {
  assert.deepEqual(readCredentials(seed), { kind: "nkey", seed });
  assert.deepEqual(readCredentials(`\n${seed}\n`), { kind: "nkey", seed });
  assert.deepEqual(readCredentials(CREDS), { kind: "jwt", jwt: JWT, seed });
  assert.deepEqual(readCredentials(CREDS.replaceAll("\n", "\r\n")), { kind: "jwt", jwt: JWT, seed });
});

test(
  "G1 a server in operator mode accepts the .creds file of its account, even in one line, and no other",
  needsNats,
  async (t) => {
    const operator = makeOperator();
    const rig = await startNats(t, { users: operator.config });
    const member = (name: string, secret: string) => startMember(t, rig, name, { secret });
    const laptop = member("laptop", operator.creds("laptop"));
    const desktop = member("desktop", operator.creds("desktop").replaceAll("\n", " "));
    await eventually(() => laptop.sees("desktop").presence === "here");
    await eventually(() => desktop.sees("laptop").presence === "here");
    for (const wrong of [makeOperator().creds("nas"), rig.key("nas").seed]) {
      const nas = member("nas", wrong);
      await eventually(() => /refuses the credentials/.test(nas.report().link.last_error ?? ""));
    }
  },
);

const WRONG: readonly [what: string, text: string][] = [
  ["nothing", ""],
  ["a password", "hunter2"],
  ["an account's seed", seed.replace(/^SU/, "SA")],
  ["half a seed", seed.slice(0, 30)],
  ["a public key", makeKey().publicKey],
  ["a JWT without its seed", CREDS.slice(0, 150)],
  ["a seed where the JWT goes", CREDS.replace(JWT, seed)],
  ["many dashes", "-----BEGIN ".repeat(20_000)],
];

for (const [what, text] of WRONG) {
  test(`G1 no credentials are read from ${what}`, () => {
    assert.equal(readCredentials(text), null);
  });
}

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;

natsTest("G1 sessions that end at any instant leave nothing behind", async (_t, rig) => {
  const { signal } = new AbortController();
  const events = { summary() {}, removed() {}, caughtUp() {}, beat() {}, rollCall() {} };
  const { seed } = rig.key("laptop");
  const options = { server: rig.url, name: "laptop", authority: null, events, clock: systemClock };
  const before = timers();
  for (let count = 0; count < 20; count++) {
    const session = await openSession({ ...options, credentials: { kind: "nkey", seed } }, signal);
    if (count % 2 === 0) await session.put("{}");
    const rest = session.subscribe();
    if (count % 3 === 0) rest();
    await session[Symbol.asyncDispose]();
  }
  // One timer may be of the last closing.
  assert.ok(timers() <= before + 1, `${timers()} timers`);
});

natsTest("G1 a bucket that had to be made lets no machine delete others' entries", async (t, rig) => {
  const told = new Map<string, string>();
  const events = {
    summary: (key: string, bytes: Uint8Array) => void told.set(key, new TextDecoder().decode(bytes)),
    removed: (key: string) => void told.delete(key),
    caughtUp() {},
    beat() {},
    rollCall() {},
  };
  const { seed } = rig.key("laptop");
  const credentials = { kind: "nkey", seed } as const;
  const options = { server: rig.url, authority: null, events, clock: systemClock, credentials };
  const { signal } = new AbortController();
  await using session = await openSession({ ...options, name: "laptop" }, signal);
  session.subscribe();
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

test(
  "G1 a message that a member has the server send under another's subject is not a sign of life of that machine",
  needsNats,
  async (t) => {
    const rig = await startNats(t, { permissions: { stranger: permissionsOf("stranger") } });
    const heard: string[][] = [];
    const events = {
      summary() {},
      removed() {},
      caughtUp() {},
      beat: (...beat: string[]) => heard.push(beat),
      rollCall() {},
    };
    const credentials = { kind: "nkey", seed: rig.key("laptop").seed } as const;
    const options = { server: rig.url, authority: null, events, clock: systemClock, credentials };
    await using session = await openSession({ ...options, name: "laptop" }, new AbortController().signal);
    session.subscribe();
    const stranger = await rig.stranger("stranger");
    const said: string[] = [];
    const api = "$JS.API";
    for (const name of ["laptop", "desktop"]) {
      stranger.subscribe(beatSubject(name), { callback: (_, message) => void said.push(message.subject) });
      const by = `by-${name}`;
      const delivery = {
        deliver_subject: beatSubject(name),
        idle_heartbeat: 100_000_000,
        flow_control: true,
      };
      const config = { ...delivery, name: by, ack_policy: "none" };
      const question = JSON.stringify({ stream_name: STREAM, config });
      stranger.publish(`${api}.CONSUMER.CREATE.${STREAM}.${by}`, question, {
        reply: `${inboxOf("stranger")}.x`,
      });
      for (const asked of [
        `${api}.INFO`,
        `${api}.STREAM.INFO.${STREAM}`,
        `${api}.CONSUMER.DELETE.${STREAM}.x`,
      ])
        stranger.publish(asked, "", { reply: beatSubject(name) });
    }
    // The server's answers, then its heartbeats.
    await eventually(() => said.length > 10);
    const desktop = await rig.stranger("desktop");
    const instance = "0123456789abcdef";
    await eventually(async () => {
      desktop.publish(beatSubject("desktop"), instance);
      await desktop.flush();
      return heard.some(([, text]) => text === instance);
    });
    assert.deepEqual(
      heard.filter(([name, text]) => name !== "desktop" || text !== instance),
      [],
    );
  },
);

test("G1 no socket stays open to a server that never greets", async (t) => {
  const closed: Promise<unknown>[] = [];
  const server = createServer((socket) => closed.push(once(socket.resume(), "close")));
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const signal = AbortSignal.timeout(30_000);
  const events = { summary() {}, removed() {}, caughtUp() {}, beat() {}, rollCall() {} };
  const credentials = { kind: "nkey", seed: makeKey().seed } as const;
  const options = { name: "laptop", authority: null, events, clock: systemClock, credentials };
  await assert.rejects(openSession({ ...options, server: `nats://127.0.0.1:${port}` }, signal), /no answer/);
  assert.equal(closed.length, 1);
  await Promise.all(closed);
});
