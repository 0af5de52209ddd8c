import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { Kvm } from "@nats-io/kv";
import { summaryText } from "../../src/fleet/summary.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type Member, makeKey, needsNats, startMember, startNats } from "./nats-rig.ts";

/** Why there is no link, once that is known. */
async function reasonOf(member: Member): Promise<string> {
  const { link, conditions } = await eventually(() => {
    const report = member.report();
    return report.link.last_error !== null && report;
  });
  assert.equal(link.state, "away");
  assert.deepEqual(
    conditions.map(({ code }) => code),
    ["fleet_unreachable"],
  );
  return `${link.last_error} (${link.hint})`;
}

test("G1 credentials that the server does not know are told, and are in no message", needsNats, async (t) => {
  const rig = await startNats(t);
  const { seed } = makeKey();
  const member = startMember(t, rig, "laptop", { secret: seed });
  assert.match(await reasonOf(member), /refuses the credentials/);
  const told = JSON.stringify([member.report(), member.logger.lines]);
  assert.ok(!told.includes(seed.slice(0, 16)));
});

test("G1 a secret that is missing, or no key, is told without its text", async (t) => {
  const rig = { url: "nats://127.0.0.1:9", key: makeKey };
  const missing = startMember(t, rig, "laptop", {
    credentials: { kind: "stored", name: "fleet" },
  });
  assert.match(await reasonOf(missing), /no secret fleet is kept/);
  const wrong = startMember(t, rig, "laptop", { secret: "hunter2 is my password" });
  const reason = await reasonOf(wrong);
  assert.match(reason, /neither the seed of an nkey/);
  assert.ok(!JSON.stringify([reason, wrong.report(), wrong.logger.lines]).includes("hunter2"));
});

test("G1 a server without JetStream is told", needsNats, async (t) => {
  const rig = await startNats(t, { jetStream: false });
  assert.match(await reasonOf(startMember(t, rig, "laptop")), /JetStream is not on.*nats-server -js/);
});

interface Differing {
  /** Also what makes the bucket. */
  readonly making?: boolean;
  /** As the list was before there were calls. */
  readonly old?: boolean;
}

/** As docs/fleet.md lists them. */
function permissionsOf(name: string, { making = false, old = false }: Differing = {}): string {
  const publish = [
    `$KV.mountaineer_fleet.${name}`,
    `mountaineer.fleet.${name}.beat`,
    ...(old ? [] : [`mountaineer.fleet.${name}.rollcall`]),
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.KV_mountaineer_fleet",
    "$JS.API.CONSUMER.CREATE.KV_mountaineer_fleet.>",
    "$JS.API.CONSUMER.DELETE.KV_mountaineer_fleet.>",
    "$JS.API.CONSUMER.INFO.KV_mountaineer_fleet.>",
    "$JS.FC.KV_mountaineer_fleet.>",
    ...(making ? ["$JS.API.STREAM.CREATE.KV_mountaineer_fleet"] : []),
  ];
  const subscribe = [
    `_INBOX.${name}.>`,
    "mountaineer.fleet.*.beat",
    ...(old ? [] : ["mountaineer.fleet.*.rollcall"]),
  ];
  return `publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)}`;
}

test(
  "G1 the permissions that the docs list are enough, and each machine writes what is its own",
  needsNats,
  async (t) => {
    const rig = await startNats(t, {
      permissions: { laptop: permissionsOf("laptop", { making: true }), desktop: permissionsOf("desktop") },
    });
    const desktop = startMember(t, rig, "desktop");
    // Who may not make the bucket says so until it is there.
    assert.match(await reasonOf(desktop), /does not permit to publish .*STREAM\.CREATE/);
    const laptop = startMember(t, rig, "laptop");
    await eventually(() => desktop.sees("laptop").presence === "here");
    await eventually(() => laptop.sees("desktop").presence === "here");
    assert.deepEqual(desktop.report().conditions, []);
    // With another one's key, a machine cannot tell anything under this name.
    const liar = startMember(t, rig, "nas", { secret: rig.key("laptop").seed });
    assert.match(await reasonOf(liar), /does not permit/);
    assert.throws(() => desktop.sees("nas"));
  },
);

test(
  "G1 with the permissions of before there were calls, a machine is in the fleet all the same",
  needsNats,
  async (t) => {
    const old = { making: true, old: true };
    const rig = await startNats(t, {
      permissions: { laptop: permissionsOf("laptop", old), desktop: permissionsOf("desktop", old) },
    });
    const [laptop, desktop] = [startMember(t, rig, "laptop"), startMember(t, rig, "desktop")];
    await eventually(() => desktop.sees("laptop").presence === "here");
    await eventually(() => laptop.sees("desktop").presence === "here");
    assert.deepEqual([laptop.report().conditions, desktop.report().conditions], [[], []]);
  },
);

test("G1 what a stranger writes into the bucket is shown as that, and harms nobody", needsNats, async (t) => {
  const rig = await startNats(t);
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

test("G1 what stood in the bucket is no sign of life, and who has left it is gone", needsNats, async (t) => {
  const rig = await startNats(t);
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
  await eventually(() => laptop.report().machines.length === 2 && laptop.sees("desktop").presence === "here");
});

test("G1 two machines with one name find that out, and say so", needsNats, async (t) => {
  const rig = await startNats(t);
  const one = startMember(t, rig, "laptop");
  await eventually(() => one.report().link.state === "connected");
  const other = startMember(t, rig, "laptop");
  for (const member of [one, other]) {
    const condition = await eventually(() =>
      member.report().conditions.find(({ code }) => code === "fleet_name_taken"),
    );
    assert.equal(condition.severity, "error");
    assert.match(member.report().machines[0]?.problem ?? "", /another machine/);
  }
});

function summaryOf(name: string) {
  const state = { version: "1", shares: [], backends: [], conditions: [], cut: 0 };
  return { name, instance: "one", word: "here" as const, answers: false, state };
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
  test(`G1 over TLS a machine takes only ${host} itself, as the CA has signed it`, needsNats, async (t) => {
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

test("G1 a server that offers no TLS where it was asked for learns nothing", needsNats, async (t) => {
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
