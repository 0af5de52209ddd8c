import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { nkeys } from "@nats-io/transport-node";
import { issueCertificates } from "../../../src/fleet/enrollment/certificate.ts";
import { folderPaths, makeFleet, withFolder } from "../../../src/fleet/enrollment/fleet-folder.ts";
import {
  isAddress,
  joinKeys,
  readJoinCode,
  splitAddress,
  writeJoinCode,
} from "../../../src/fleet/enrollment/join-code.ts";
import {
  newRequest,
  readOutcome,
  readRequest,
  writeOutcome,
  writeRequest,
} from "../../../src/fleet/enrollment/join-messages.ts";
import { forgetMembership, readMembership } from "../../../src/fleet/enrollment/membership.ts";
import { fetchAuthority } from "../../../src/fleet/enrollment/server-connection.ts";
import { ensureServer, reloadServer, runningServer } from "../../../src/fleet/enrollment/server-process.ts";
import {
  isSignedBy,
  publicBytes,
  publicBytesOf,
  rawOfSeed,
  signText,
  userKey,
  userSeed,
} from "../../../src/fleet/keys/nkey.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock as clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { endServer } from "./homes.ts";

test("G1 keys are written as the NATS library writes them, and read back", () => {
  for (let count = 0; count < 50; count++) {
    const raw = randomBytes(32);
    const seed = userSeed(raw);
    const theirs = nkeys.fromSeed(new TextEncoder().encode(seed));
    assert.equal(theirs.getPublicKey(), userKey(raw));
    assert.deepEqual(rawOfSeed(seed), raw);
    assert.deepEqual(publicBytesOf(userKey(raw)), publicBytes(raw));
  }
});

test("a signature of one is one for the other", () => {
  const raw = randomBytes(32);
  const signature = signText(raw, "a text");
  const theirs = nkeys.fromPublic(userKey(raw));
  assert.equal(theirs.verify(Buffer.from("a text"), Buffer.from(signature, "base64url")), true);
  assert.equal(isSignedBy(publicBytes(raw), "a text", signature), true);
  assert.equal(isSignedBy(publicBytes(raw), "another text", signature), false);
  assert.equal(isSignedBy(publicBytes(randomBytes(32)), "a text", signature), false);
});

test("a text that is not a user's key is rejected: another kind, a changed letter, a shorter one", () => {
  const raw = randomBytes(32);
  const key = userKey(raw);
  const changed = `${key.slice(0, 20)}${key[20] === "A" ? "B" : "A"}${key.slice(21)}`;
  for (const text of ["", "U", changed, key.slice(0, -1), `${key}A`, key.toLowerCase(), userSeed(raw)]) {
    assert.equal(publicBytesOf(text), null, text);
  }
  for (const text of ["", "SU", key, userSeed(raw).slice(0, -1), `SA${userSeed(raw).slice(2)}`]) {
    assert.equal(rawOfSeed(text), null, text);
  }
});

const HOSTS = ["nas.local", "192.0.2.7", "2001:db8::1:2", "::ffff:192.0.2.8", "localhost"];

test("the server's certificate is the authority's, for its hosts and no others", () => {
  const { authority, server } = issueCertificates(HOSTS, Date.now());
  const [ca, leaf] = [new X509Certificate(authority.certificate), new X509Certificate(server.certificate)];
  assert.equal(ca.ca, true);
  assert.equal(leaf.ca, false);
  assert.equal(ca.verify(ca.publicKey), true);
  assert.equal(leaf.verify(ca.publicKey), true);
  assert.equal(leaf.checkIssued(ca), true);
  assert.equal(ca.fingerprint256.replaceAll(":", "").toLowerCase(), authority.fingerprint);
  assert.equal(leaf.checkHost("nas.local"), "nas.local");
  assert.equal(leaf.checkHost("other.local"), undefined);
  assert.equal(leaf.checkIP("192.0.2.7"), "192.0.2.7");
  assert.equal(leaf.checkIP("2001:db8::1:2"), "2001:db8::1:2");
  assert.equal(leaf.checkIP("192.0.2.9"), undefined);
});

test("the certificates are valid for fifty years, and began before a clock that is a day behind", () => {
  const nowMs = Date.UTC(2026, 10, 22);
  const { authority, server } = issueCertificates(["localhost"], nowMs);
  for (const { certificate } of [authority, server]) {
    const { validFrom, validTo } = new X509Certificate(certificate);
    assert.equal(Date.parse(validFrom) < nowMs - 86_400_000, true);
    assert.equal(new Date(validTo).getUTCFullYear(), 2076);
  }
});

test("openssl accepts the chain, strictly", async (t) => {
  if ((await findProgram("openssl", (process.env["PATH"] ?? "").split(":"))) === null) {
    t.skip("openssl is not installed");
    return;
  }
  const folder = await temporaryFolder(t);
  const { authority, server } = issueCertificates(HOSTS, Date.now());
  const [ca, leaf] = [join(folder, "ca.pem"), join(folder, "server.pem")];
  await writeFile(ca, authority.certificate);
  await writeFile(leaf, server.certificate);
  const args = [
    "verify",
    "-x509_strict",
    "-purpose",
    "sslserver",
    "-verify_ip",
    "192.0.2.7",
    "-CAfile",
    ca,
    leaf,
  ];
  const { exitCode, stderr } = await runCommand("openssl", args, { clock: systemClock, deadlineMs: 20_000 });
  assert.equal(exitCode, 0, stderr);
});

function someCode(address = "nas.local:4222") {
  const [secret, authority] = [randomBytes(16), randomBytes(32)];
  return { address, authority, secret, expiresAtMs: 1_795_000_000_000 };
}

test("G1 a code has the server's address, its fingerprint, a secret, and its expiry", () => {
  for (const address of ["nas.local:4222", "192.0.2.7:1", "[2001:db8::1]:65535"]) {
    const code = someCode(address);
    assert.deepEqual(readJoinCode(` ${writeJoinCode(code)}\n`), code);
  }
});

test("a code is one word that no shell splits, and is not an option", () => {
  assert.match(writeJoinCode(someCode()), /^mf1_[A-Za-z0-9_-]+$/);
});

test("a code with a missing or changed letter is invalid; the typed text is not repeated", () => {
  const text = writeJoinCode(someCode());
  const wrong = [
    "",
    "mf1_",
    text.slice(4),
    text.slice(0, -1),
    `${text}A`,
    `${text.slice(0, 30)}${text[30] === "A" ? "B" : "A"}${text.slice(31)}`,
    `${text} ${text}`,
    writeJoinCode(someCode("no address")),
    writeJoinCode(someCode(`${"x".repeat(256)}:4222`)),
    "x".repeat(5_000),
  ];
  for (const one of wrong) {
    assert.throws(
      () => readJoinCode(one),
      (error) =>
        error instanceof MountaineerError &&
        error.code === "usage" &&
        (one.length < 10 || !error.message.includes(one.slice(4, 20))),
    );
  }
});

test("keys derived from the secret differ by use, and are the same on both sides", () => {
  const secret = randomBytes(16);
  const keys = joinKeys(secret);
  assert.deepEqual(joinKeys(Buffer.from(secret)), keys);
  assert.equal(keys.login.equals(keys.proof), false);
  assert.match(keys.id, /^[0-9a-f]{16}$/);
});

test("addresses", () => {
  for (const good of ["a:1", "nas.local:4222", "10.0.0.1:4222", "[::1]:4222"])
    assert.equal(isAddress(good), true);
  for (const bad of [
    "",
    "nas",
    "nas:0",
    "nas:70000",
    "a b:1",
    "::1:4222",
    "-x:1",
    'a":1',
    "a\n:1",
    "u@h:1",
  ]) {
    assert.equal(isAddress(bad), false, bad);
  }
  assert.deepEqual(splitAddress("[::1]:4222"), { host: "::1", port: 4222 });
});

const [OLD, OTHER, PROOF] = [randomBytes(32), randomBytes(32), randomBytes(32)];

test("G1 a machine is admitted only with the code's proof and its own key's signature, both of its request", () => {
  const context = { id: "0011223344556677", authority: "ab" };
  const request = newRequest("laptop", OLD);
  const text = writeRequest(request, context, PROOF, OLD);
  assert.deepEqual(readRequest(text, context, PROOF), request);
  const { proof: proofOfOther } = JSON.parse(writeRequest(request, context, OTHER, OLD));
  const { signature: signatureOfOther } = JSON.parse(writeRequest(request, context, PROOF, OTHER));
  for (const change of [
    { proof: proofOfOther },
    { proof: "" },
    { signature: signatureOfOther },
    { name: "desktop" },
    { name: "no name" },
    { key: userKey(OTHER) },
  ]) {
    const changed = JSON.stringify({ ...JSON.parse(text), ...change });
    assert.equal(readRequest(changed, context, PROOF), null, Object.keys(change).join());
  }
  assert.equal(readRequest(text, { ...context, authority: "ef" }, PROOF), null);
  assert.equal(readRequest(text.padEnd(4_097), context, PROOF), null);
});

test("G1 an answer is accepted only with the proof of the code's secret, for this request", () => {
  const context = { id: "0011223344556677", authority: "ab" };
  const request = newRequest("laptop", OLD);
  const joined = writeOutcome({ joined: true }, request, context, PROOF);
  const refused = writeOutcome({ joined: false, why: "name_taken" }, request, context, PROOF);
  assert.deepEqual(readOutcome(joined, request, context, PROOF), { joined: true });
  assert.deepEqual(readOutcome(refused, request, context, PROOF), { joined: false, why: "name_taken" });
  const forged = [
    [writeOutcome({ joined: true }, request, context, OTHER), request],
    [JSON.stringify({ ...JSON.parse(refused), outcome: "joined" }), request],
    [JSON.stringify({ ...JSON.parse(joined), proof: "" }), request],
    [joined, newRequest("laptop", OLD)],
    ["{}", request],
  ] as const;
  for (const [said, of] of forged) assert.equal(readOutcome(said, of, context, PROOF), null, said);
});

test("G1 a home that is in no fleet has nothing to forget, and does not mention it", async (t) => {
  const home = await temporaryFolder(t);
  await forgetMembership({ home, clock, environment: {}, signal: new AbortController().signal });
  assert.equal(await readMembership(home), null);
});

const SERVER = join(import.meta.dirname, "programs/reluctant-server.mjs");
const LATE_MS = 5_000;

interface Manner {
  /** So many hang-ups are lost. */
  readonly deaf?: number;
  /** So many bytes of log follow at once. */
  readonly chatty?: number;
  readonly refuses?: boolean;
  /** It ends at the first. */
  readonly dies?: boolean;
}

/** A fleet's server that runs, and hears hang-ups in that manner; `late` lets the product's patience pass. */
async function serverOf(t: TestContext, { deaf = 0, chatty = 0, refuses = false, dies = false }: Manner) {
  let home = "";
  // Before the folder goes, which says which process it is.
  t.after(() => endServer(home));
  const folder = await temporaryFolder(t);
  home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  const program = join(folder, "nats-server");
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${SERVER}' "$@"\n`);
  await chmod(program, 0o755);
  const { PATH } = process.env;
  process.env["PATH"] = `${folder}${delimiter}${PATH}`;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  // Stands still between the looks, however long these take.
  let passedMs = 0;
  const clock = { ...systemClock, monotonicMs: () => passedMs };
  const place = { home, clock };
  const address = `127.0.0.1:${await freePort()}`;
  await makeFleet(place, {
    address,
    home: "nas",
    members: [],
  });
  const beside = (name: string): string => join(folderPaths(home).folder, name);
  await writeFile(beside("manner"), JSON.stringify({ deaf, chatty, refuses, dies }));
  // No time passes here that would end a reload which never does.
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(60_000)]);
  assert.equal(await ensureServer(place, signal), "started");
  const first = await runningServer(home);
  assert.ok(first !== null);
  /** Who heard each hang-up. */
  const heardBy = async (): Promise<readonly number[]> =>
    (await readFile(beside("heard"), "utf8").catch(() => "")).split("\n").filter(Boolean).map(Number);
  return {
    pid: first.pid,
    heardBy,
    running: async () => (await runningServer(home))?.pid,
    reload: () => reloadServer(place, signal),
    async late(hangups: number) {
      await eventually(async () => (await heardBy()).length === hangups);
      passedMs += LATE_MS;
    },
  };
}

test("the server's message that it has reloaded is found under all its later output", async (t) => {
  const server = await serverOf(t, { chatty: 200_000 });
  await server.reload();
  assert.deepEqual(await server.heardBy(), [server.pid]);
});

test("a server that lost the signal is asked to reload again", async (t) => {
  const server = await serverOf(t, { deaf: 1 });
  const reloaded = server.reload();
  await server.late(1);
  await reloaded;
  assert.deepEqual(await server.heardBy(), [server.pid, server.pid]);
  assert.equal(await server.running(), server.pid);
});

test("a server that receives no signal is restarted", async (t) => {
  const server = await serverOf(t, { deaf: 9 });
  const reloaded = server.reload();
  await server.late(1);
  await server.late(2);
  await reloaded;
  const running = await server.running();
  assert.ok(running !== undefined && running !== server.pid, String(running));
  assert.deepEqual(await server.heardBy(), [server.pid, server.pid]);
});

test("a server that ends during a reload is restarted at once", async (t) => {
  const server = await serverOf(t, { dies: true });
  await server.reload();
  const running = await server.running();
  assert.ok(running !== undefined && running !== server.pid, String(running));
});

test("a server that refuses its configuration keeps running, and is not asked again", async (t) => {
  const server = await serverOf(t, { refuses: true });
  await assert.rejects(server.reload(), {
    code: "fleet_server_failed",
    message: "nats-server refused its configuration: no such user",
  });
  assert.deepEqual(await server.heardBy(), [server.pid]);
  assert.equal(await server.running(), server.pid);
});

test("G1 while one command changes a fleet, no other process does, whatever else waits in the first", async (t) => {
  const home = await temporaryFolder(t);
  const place = { home, clock: systemClock };
  const { signal } = new AbortController();
  const ending = Promise.withResolvers<void>();
  const holding = withFolder(place, signal, () => ending.promise);
  await eventually(() => existsSync(join(home, "fleet.lock.db")));
  const waiting = withFolder(place, signal, async () => {});
  await systemClock.sleep(50);
  const lock = JSON.stringify(new URL("../../../src/runtime/files/sqlite-file-lock.ts", import.meta.url));
  const program = `const { beginExclusive } = await import(${lock});
    console.log(beginExclusive(${JSON.stringify(join(home, "fleet.lock.db"))}) === null);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  assert.equal(stdout, "true\n");
  ending.resolve();
  await Promise.all([holding, waiting]);
});

const { authority, server } = issueCertificates(["127.0.0.1"], Date.now());
const FINGERPRINT = Buffer.from(authority.fingerprint, "hex");
const PEM = { cert: server.certificate + authority.certificate, key: server.key };
const NEVER = new AbortController().signal;

/** A server on this machine that does this with each connection; resolves with its address and its connections' ends. */
async function listening(t: TestContext, on: (socket: Socket) => void) {
  const closed: Promise<unknown>[] = [];
  const listener = createServer((socket) => {
    socket.on("error", () => {});
    closed.push(once(socket, "close"));
    on(socket);
  });
  t.after(() => listener.close());
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return { address: `127.0.0.1:${(listener.address() as AddressInfo).port}`, closed };
}

/** Greets as a NATS server in two pieces, then speaks TLS. */
function greet(socket: Socket): void {
  socket.write("IN");
  setImmediate(() => {
    socket.write('FO {"tls_required":true}\r\n');
    new TLSSocket(socket, { isServer: true, ...PEM }).on("error", () => {});
  });
}

test("G1 the authority of a server is accepted by its fingerprint, and no connection stays open", async (t) => {
  const { address, closed } = await listening(t, greet);
  assert.equal(await fetchAuthority(address, FINGERPRINT, NEVER), authority.certificate);
  const message = /another server answers at 127\.0\.0\.1/;
  await assert.rejects(fetchAuthority(address, Buffer.alloc(32), NEVER), { code: "join_refused", message });
  await Promise.all(closed);
  assert.equal(closed.length, 2);
});

const NO_SERVERS: readonly [what: string, on: (socket: Socket) => void, message: RegExp][] = [
  ["hangs up", (socket) => void socket.end(), /it hung up/],
  ["hangs up after its greeting", (socket) => void socket.end("INFO {}\r\n"), /hung up|disconnected/],
  ["greets otherwise", (socket) => void socket.write("HTTP/1.1 400 Bad\r\n"), /not a NATS server/],
  [
    "never ends its greeting",
    (socket) => void socket.write(`INFO ${"x".repeat(66_000)}`),
    /not a NATS server/,
  ],
  [
    "speaks no TLS",
    (socket) => {
      socket.write("INFO {}\r\n");
      socket.on("data", () => socket.write("what?\r\n"));
    },
    /cannot be reached/,
  ],
];

for (const [what, on, message] of NO_SERVERS) {
  test(`G1 a listener at a fleet's address that ${what} is not a server, and its connection ends`, async (t) => {
    const { address, closed } = await listening(t, (socket) => on(socket.resume()));
    const unreachable = { code: "fleet_unreachable", retry: "later", message };
    await assert.rejects(fetchAuthority(address, FINGERPRINT, NEVER), unreachable);
    await Promise.all(closed);
  });
}

test("G1 an address without a listener is unreachable, and a cancelled join ends as cancelled", async (t) => {
  await assert.rejects(fetchAuthority("127.0.0.1:1", FINGERPRINT, NEVER), { code: "fleet_unreachable" });
  const { address, closed } = await listening(t, (socket) => void socket.resume());
  const stop = new AbortController();
  const fetching = fetchAuthority(address, FINGERPRINT, stop.signal);
  stop.abort(new MountaineerError("aborted", "cancelled"));
  await assert.rejects(fetching, { code: "aborted" });
  await Promise.all(closed);
});
