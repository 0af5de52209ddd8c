import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type ConfigLayer, LARGEST_LAYER_BYTES } from "../../../src/config/layer/layer.ts";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { readAcceptedLayer, storeAcceptedLayer } from "../../../src/fleet/layer/accepted-layer.ts";
import {
  handoversTo,
  type KeyHandover,
  keysFrom,
  MOST_CARRIED,
  readHandover,
  signHandover,
  stepsBetween,
} from "../../../src/fleet/layer/key-handovers.ts";
import type { StoredLayer } from "../../../src/fleet/layer/layer-bucket.ts";
import { LayerFollower, type LayerOutcome } from "../../../src/fleet/layer/layer-follower.ts";
import { createOperatorTrust, readTrust } from "../../../src/fleet/layer/operator-trust.ts";
import { LARGEST_DOCUMENT_BYTES, readSignedLayer, signLayer } from "../../../src/fleet/layer/signed-layer.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";

const KEY = randomBytes(32);
const OPERATOR = userKey(KEY);
const WORDS = { revision: 3, time: "2026-11-20T10:00:00.000Z", by: "nas", text: "[notify]\n# „ü\n" };
const DOCUMENT = signLayer(WORDS, KEY);

function problem(document: string | Uint8Array, operator = OPERATOR): string {
  const bytes = typeof document === "string" ? Buffer.from(document) : document;
  const reading = readSignedLayer(bytes, { operator, earlier: [] });
  return reading.ok ? "none" : reading.problem;
}

test("G1 what the operator has signed is read as it was signed, by machines of that fleet alone", () => {
  const reading = readSignedLayer(Buffer.from(DOCUMENT), { operator: OPERATOR, earlier: [] });
  assert.deepEqual(reading, {
    ok: true,
    layer: { ...WORDS, operator: OPERATOR },
    steps: [],
  });
  assert.match(problem(DOCUMENT, userKey(randomBytes(32))), /another key/);
  assert.match(problem(DOCUMENT, `U${"A".repeat(55)}`), /another key/);
});

test("G1 no part of a signed layer can be changed, or taken from another one", () => {
  const other = JSON.parse(signLayer({ ...WORDS, revision: 4 }, KEY));
  const changes = [
    { revision: 4 },
    { time: "2027-11-20T10:00:00.000Z" },
    { by: "laptop" },
    { text: "" },
    { signature: other.signature },
    { signature: "" },
    { signature: "x".repeat(100) },
  ];
  for (const change of changes) {
    const forged = JSON.stringify({ ...JSON.parse(DOCUMENT), ...change });
    assert.match(problem(forged), /the operator has not signed it/, JSON.stringify(change));
  }
  // Somebody else's signature under the operator's name.
  const thief = JSON.parse(signLayer(WORDS, randomBytes(32)));
  assert.match(problem(JSON.stringify({ ...thief, operator: OPERATOR })), /has not signed/);
});

test("G1 whatever else stands there is told in words of this machine", () => {
  const wrong = { ...JSON.parse(DOCUMENT) };
  const cases: readonly [string | Uint8Array, RegExp][] = [
    ["", /not a JSON object/],
    ["[]", /not a JSON object/],
    [JSON.stringify({ ...wrong, format: 2 }), /newer version/],
    [JSON.stringify({ ...wrong, revision: 0 }), /revision is not a whole number/],
    [JSON.stringify({ ...wrong, revision: 1.5 }), /revision is not a whole number/],
    [JSON.stringify({ ...wrong, text: 7 }), /text is not a text/],
    [JSON.stringify({ ...wrong, by: "\u001b[2J" }), /by is not a machine's name/],
    [JSON.stringify({ ...wrong, time: "soon" }), /time is not a time/],
    [Buffer.alloc(LARGEST_DOCUMENT_BYTES + 1), /too long/],
    [Buffer.from([0xff, 0xfe]), /not a JSON object/],
  ];
  for (const [document, said] of cases) assert.match(problem(document), said);
});

test("G1 what was kept is proved again when it is read", async (t) => {
  const home = await temporaryFolder(t);
  assert.deepEqual(await readAcceptedLayer(home, OPERATOR), { layer: null, problem: null });
  await storeAcceptedLayer(home, Buffer.from(DOCUMENT));
  assert.equal((await readAcceptedLayer(home, OPERATOR)).layer?.revision, 3);
  assert.match((await readAcceptedLayer(home, userKey(randomBytes(32)))).problem ?? "", /another key/);
  await mkdir(join(home, "fleet"), { recursive: true });
  await writeFile(join(home, "fleet", "layer.json"), DOCUMENT.slice(0, 40));
  assert.match((await readAcceptedLayer(home, OPERATOR)).problem ?? "", /not a JSON object/);
});

const TIME = "2026-11-20T10:00:00.000Z";
const KEYS = Array.from({ length: 12 }, () => randomBytes(32));
const NAMES = KEYS.map(userKey);
const keyAt = (index: number): Buffer => KEYS[index] ?? Buffer.alloc(32);
const nameAt = (index: number): string => NAMES[index] ?? "";

/** From each of the keys to the next. */
const CHAIN: readonly KeyHandover[] = KEYS.slice(0, -1).map((key, index) =>
  signHandover({ to: nameAt(index + 1), number: index + 1, time: TIME }, key),
);

function layerBy(index: number, revision: number, handovers = CHAIN.slice(0, index), text = ""): Uint8Array {
  return Buffer.from(signLayer({ revision, time: TIME, by: "nas", text }, keyAt(index), handovers));
}

async function machine(t: Scope, line = nameAt(0)) {
  const home = await temporaryFolder(t);
  const taken: number[] = [];
  const start = () =>
    createOperatorTrust({ home, line, onHandover: ({ number }) => void taken.push(number) });
  return { home, taken, start };
}

test("G1 a machine takes the next key by itself, also one that was away for several, and keeps it", async (t) => {
  const { home, taken, start } = await machine(t);
  const trust = start();
  assert.equal((await trust.check(layerBy(3, 9))).ok, true);
  assert.deepEqual(taken, [1, 2, 3]);
  const again = await readTrust(home, nameAt(0));
  assert.deepEqual([again.operator, again.earlier], [nameAt(3), NAMES.slice(0, 3)]);
  // Whose file names a later key already.
  assert.equal((await readTrust(home, nameAt(2))).operator, nameAt(3));
  assert.equal((await readTrust(home, nameAt(5))).operator, nameAt(5));
  assert.equal((await start().check(layerBy(4, 10))).ok, true);
  assert.deepEqual(taken, [1, 2, 3, 4]);
});

interface Begin {
  /** What the home has kept when the follower begins. */
  readonly kept?: Uint8Array;
  readonly hasOperator?: boolean;
  readonly isLinked?: boolean;
  readonly revision?: number | null;
  readonly outcome?: LayerOutcome;
  readonly prepare?: (home: string) => Promise<unknown>;
}

/** A follower whose service and bucket answer as the world says. */
async function following(t: TestContext, begin: Begin = {}) {
  const { kept, hasOperator = true, isLinked = true, revision = null } = begin;
  const { outcome = { kind: "rejected", reason: "no such key" } } = begin;
  const { home, start } = await machine(t);
  if (kept !== undefined) await storeAcceptedLayer(home, kept);
  await begin.prepare?.(home);
  const clock = createManualClock();
  const world = {
    ...{ asked: 0, applied: 0, changes: 0, revision },
    last: null as ConfigLayer | null,
    outcome,
    newest: (): StoredLayer | null | Promise<StoredLayer> => ({ sequence: 1, document: layerBy(0, 3) }),
  };
  const apply = async (layer: ConfigLayer) => {
    world.applied++;
    world.last = layer;
    if (world.outcome.kind === "applied") world.revision = layer.revision;
    return world.outcome;
  };
  const follower = new LayerFollower({
    ...{ home, trust: hasOperator ? start() : null, clock, logger: noopLogger },
    port: { revision: () => world.revision, apply },
    onChange: () => void world.changes++,
  });
  t.after(() => follower.end());
  const newest = async (): Promise<StoredLayer | null> => {
    world.asked++;
    return world.newest();
  };
  const bucket = { newest, history: () => Promise.resolve([]), put: () => Promise.resolve(false) };
  if (isLinked) follower.link(bucket);
  return {
    home,
    clock,
    follower,
    world,
    bucket,
    code: (): string | undefined => follower.conditions()[0]?.code,
    pass: (until: () => boolean) => passTimeUntil(clock, until, 60_000),
  };
}

test("G1 what a machine has kept runs without a server, for the key in its own file, and is not begun twice", async (t) => {
  const kept = layerBy(1, 3);
  const { follower, world, clock, code } = await following(t, { kept, isLinked: false });
  await eventually(() => world.applied === 1);
  assert.deepEqual([world.last?.revision, world.last?.operator], [3, nameAt(0)]);
  await eventually(() => code() === "fleet_layer_refused");
  assert.equal(await follower.highest(), 3);
  assert.equal(clock.pendingTimers, 0, "without a link nothing is looked for");
  const running = await following(t, { kept, isLinked: false, revision: 3 });
  assert.equal(await running.follower.highest(), 3);
  assert.equal(running.world.applied, 0);
  const empty = await following(t, { isLinked: false });
  assert.equal(await empty.follower.highest(), 0);
  assert.equal(empty.world.applied, 0);
});

test("G1 a layer is applied once, kept, and reported; an older one is not trusted after it", async (t) => {
  const begin = { outcome: { kind: "applied" } } as const;
  const { home, clock, follower, world, pass, code } = await following(t, begin);
  await pass(() => world.asked > 2);
  assert.deepEqual([world.applied, world.last?.operator, code()], [1, nameAt(0), undefined]);
  assert.deepEqual(follower.report(), { revision: 3, refused: null });
  assert.equal((await readAcceptedLayer(home, nameAt(0))).layer?.revision, 3);
  assert.ok(world.changes > 0);
  const file = join(home, "fleet", "layer.json");
  const { ino } = await stat(file);
  const { asked: seen } = world;
  await pass(() => world.asked > seen + 1);
  assert.equal((await stat(file)).ino, ino, "what is kept is not written again");
  world.newest = () => ({ sequence: 2, document: layerBy(1, 3) });
  await eventually(async () => {
    await clock.advance(60_000);
    return (await readAcceptedLayer(home, nameAt(0))).layer?.operator === nameAt(1);
  });
  assert.equal(world.applied, 1, "the same layer by the next key");
  world.newest = () => ({ sequence: 2, document: layerBy(1, 2) });
  await pass(() => code() === "fleet_layer_not_trusted");
  assert.match(follower.report().refused?.reason ?? "", /it is revision 2, and 3 was accepted here before/);
  world.newest = () => ({ sequence: 3, document: Buffer.from("{}") });
  await pass(() => /format is not known/.test(follower.conditions()[0]?.title ?? ""));
  const { since } = follower.conditions()[0] ?? {};
  const asked = world.asked;
  await pass(() => world.asked > asked + 1);
  assert.equal(follower.conditions()[0]?.since, since, "since when does not move");
  world.newest = () => null;
  await pass(() => code() === undefined);
});

test("G1 a kept layer that could not be read at first still lets no older one be applied", async (t) => {
  const file = (home: string): string => join(home, "fleet", "layer.json");
  const prepare = (home: string) => mkdir(file(home), { recursive: true });
  const { home, world, pass, code } = await following(t, { prepare, outcome: { kind: "applied" } });
  await pass(() => code() === "fleet_layer_unread");
  await rm(file(home), { recursive: true });
  await storeAcceptedLayer(home, layerBy(0, 5));
  await pass(() => code() === "fleet_layer_not_trusted");
  assert.equal(world.applied, 0);
});

test("G1 a machine without an operator's key says that it leaves the layer alone, is silent of a failed look, and looks again", async (t) => {
  const { follower, world, pass, code } = await following(t, { hasOperator: false });
  await pass(() => code() === "fleet_layer_unheeded");
  assert.equal(await follower.highest(), 0);
  world.newest = () => assert.fail("no answer in time");
  follower.noteConfig();
  await pass(() => world.asked === 3);
  await setImmediate();
  assert.deepEqual([code(), world.applied], ["fleet_layer_unheeded", 0]);
  world.newest = () => null;
  await pass(() => code() === undefined);
});

test("G1 what may pass is tried again after a second and longer, all else after a minute", async (t) => {
  const outcome = { kind: "failed", reason: "the disk is full" } as const;
  const { clock, world } = await following(t, { outcome });
  const waits: number[] = [];
  const next = async (count: "applied" | "asked"): Promise<void> => {
    const before = world[count];
    const from = clock.monotonicMs();
    await passTimeUntil(clock, () => world[count] > before, 500);
    waits.push(clock.monotonicMs() - from);
  };
  await eventually(() => world.applied === 1);
  for (let failures = 1; failures < 4; failures++) await next("applied");
  world.outcome = { kind: "applied" };
  await next("applied");
  await next("asked");
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 60_000]);
});

test("G1 a look that a lost link or the end overtakes has no effect, and leaves no timer", async (t) => {
  for (const overtake of ["link", "end"] as const) {
    const { home, clock, follower, world, bucket, code } = await following(t, { isLinked: false });
    const answer = Promise.withResolvers<StoredLayer>();
    world.newest = () => answer.promise;
    follower.link(bucket);
    await eventually(() => world.asked === 1);
    if (overtake === "link") {
      follower.link(null);
      answer.reject(new Error("closed"));
    } else {
      follower.link(bucket);
      follower.end();
      answer.resolve({ sequence: 1, document: layerBy(0, 3) });
    }
    await setImmediate();
    follower.noteConfig();
    // As long as the reads take that would follow.
    for (let turn = 0; turn < 20; turn++) await stat(home);
    assert.deepEqual([code(), clock.pendingTimers, world.applied, world.asked], [undefined, 0, 0, 1]);
  }
  const { clock, follower, world, bucket } = await following(t, {
    ...{ outcome: { kind: "applied" }, isLinked: false },
  });
  const answer = Promise.withResolvers<StoredLayer>();
  world.newest = () => answer.promise;
  follower.link(bucket);
  await eventually(() => world.asked === 1);
  follower.link(null);
  answer.resolve({ sequence: 1, document: layerBy(0, 3) });
  await eventually(() => world.applied === 1 && follower.report().revision === 3);
  await setImmediate();
  assert.equal(clock.pendingTimers, 0);
  const lost = await following(t, { isLinked: false });
  for (const one of [lost.bucket, null]) lost.follower.link(one);
  await lost.follower.highest();
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  assert.deepEqual([lost.follower.conditions(), lost.world.asked], [[], 0]);
});

test("G1 a layer that is wrong here is tried once, and once more when another file runs", async (t) => {
  const { clock, follower, world, bucket, pass } = await following(t);
  for (const looks of [1, 2, 3]) await pass(() => world.asked > looks);
  assert.equal(world.applied, 1);
  assert.match(follower.conditions()[0]?.title ?? "", /Revision 3 .* is not applied: no such key/);
  const beforeMs = clock.monotonicMs();
  follower.noteConfig();
  await passTimeUntil(clock, () => world.applied === 2, 100);
  assert.ok(clock.monotonicMs() - beforeMs < 1_000, "not only with the next regular look");
  // In the bucket of another server the same number is another layer's.
  follower.link(bucket);
  await pass(() => world.applied >= 3);
  world.outcome = { kind: "failed", reason: "the disk is full" };
  follower.noteConfig();
  await pass(() => world.applied >= 6);
});

test("G1 of one revision no second text is taken, and nothing is asked after the end", async (t) => {
  const { clock, follower, world, pass, code } = await following(t);
  world.outcome = { kind: "applied" };
  await pass(() => world.applied === 1);
  const words = { revision: 3, time: TIME, by: "nas", text: "# another\n" };
  world.newest = () => ({ sequence: 2, document: Buffer.from(signLayer(words, keyAt(0))) });
  await pass(() => code() === "fleet_layer_not_trusted");
  assert.match(follower.conditions()[0]?.title ?? "", /another revision 3/);
  follower.end();
  assert.equal(clock.pendingTimers, 0);
});

test("G1 a layer that is wrong here is still said to be so after a read of the bucket that failed", async (t) => {
  const { follower, world, pass } = await following(t);
  const { newest } = world;
  world.newest = () => {
    if (world.asked === 2) throw new Error("no answer in time");
    return newest();
  };
  for (const code of ["fleet_layer_refused", "fleet_layer_unread", "fleet_layer_refused"])
    await pass(() => follower.conditions()[0]?.code === code);
});

test("G1 who holds a key that went signs neither a layer nor another handover any more", async (t) => {
  const { home, start } = await machine(t);
  const trust = start();
  await trust.check(layerBy(1, 2));
  const thief = randomBytes(32);
  const lured = signHandover({ to: userKey(thief), number: 2, time: TIME }, keyAt(0));
  const attempts: readonly [Uint8Array, RegExp][] = [
    [layerBy(0, 99), /was the operator's, and is not any more/],
    [
      Buffer.from(signLayer({ revision: 99, time: TIME, by: "nas", text: "" }, thief, [lured])),
      /another key/,
    ],
    [
      Buffer.from(
        signLayer({ revision: 99, time: TIME, by: "nas", text: "" }, thief, [...CHAIN.slice(0, 1), lured]),
      ),
      /another key/,
    ],
  ];
  for (const [document, why] of attempts) {
    const reading = await trust.check(document);
    assert.match(reading.ok ? "" : reading.problem, why);
  }
  // Nor does who has the one that counts bring an old one back.
  const back = signHandover({ to: nameAt(0), number: 2, time: TIME }, keyAt(1));
  const document = signLayer({ revision: 99, time: TIME, by: "nas", text: "" }, keyAt(0), [back]);
  assert.equal((await trust.check(Buffer.from(document))).ok, false);
  assert.equal((await readTrust(home, nameAt(0))).operator, nameAt(1));
});

test("G1 a chain with a gap, a forged link or a foreign end is taken by nobody", async (t) => {
  const { home, start } = await machine(t);
  const [first, second, third] = CHAIN as unknown as readonly [KeyHandover, KeyHandover, KeyHandover];
  const forged: readonly (readonly unknown[])[] = [
    [],
    [second, third],
    [first, third],
    [first, { ...second, number: 7 }],
    [first, { ...second, signature: first.signature }],
    [first, second, third, "x"],
    [...CHAIN.slice(0, MOST_CARRIED), ...CHAIN.slice(0, MOST_CARRIED)],
  ];
  for (const handovers of forged) {
    const document = signLayer({ revision: 1, time: TIME, by: "nas", text: "" }, keyAt(3));
    const bytes = Buffer.from(JSON.stringify({ ...JSON.parse(document), handovers }));
    assert.equal((await start().check(bytes)).ok, false, JSON.stringify(handovers).slice(0, 80));
  }
  // The chain alone gives nothing: the layer itself is by its last key.
  const unsigned = { ...JSON.parse(layerBy(3, 1).toString()), text: "changed" };
  assert.equal((await start().check(Buffer.from(JSON.stringify(unsigned)))).ok, false);
  assert.equal((await readTrust(home, nameAt(0))).operator, nameAt(0));
  assert.equal(readHandover({ ...first, from: "U\u001b" }), null);
  const { to } = first;
  assert.equal(readHandover({ ...signHandover({ to, number: 1, time: "\u001b[2J" }, keyAt(0)) }), null);
});

test("G1 steps lead from the current key to the signer without a gap, and never to a key of before", () => {
  const step = (from: number, to: number, number: number): KeyHandover =>
    signHandover({ to: nameAt(to), number, time: TIME }, keyAt(from));
  const between = (...handovers: readonly KeyHandover[]) =>
    stepsBetween(nameAt(0), nameAt(3), handovers, [nameAt(9)])?.length ?? null;
  assert.equal(between(step(0, 1, 1), step(1, 3, 2)), 2);
  assert.equal(between(step(1, 3, 1), step(0, 2, 2)), null, "the signer's step comes first");
  assert.equal(between(step(0, 1, 1), step(2, 3, 2)), null, "the keys have a gap");
  assert.equal(between(step(0, 1, 1), step(1, 3, 3)), null, "the numbers have a gap");
  assert.equal(between(step(0, 9, 1), step(9, 3, 2)), null, "by a key of before");
  assert.equal(readHandover(step(0, 0, 1)), null, "to itself");
});

test("G1 the chain is bounded, and fits beside the longest text", async (t) => {
  const { start } = await machine(t);
  const text = `"${"\\n".repeat(LARGEST_LAYER_BYTES / 2 - 1)}"`;
  const words = { revision: 1_000_000_000_000, time: TIME, by: "n".repeat(32), text };
  const long = Buffer.from(signLayer(words, keyAt(11), CHAIN));
  assert.ok(long.length <= LARGEST_DOCUMENT_BYTES, String(long.length));
  const mostBytes = 300;
  for (const one of CHAIN) assert.ok(JSON.stringify(one).length <= mostBytes);
  assert.ok(MOST_CARRIED * (mostBytes + 1) < 3 * 1024);
  // Away for longer than the chain is: told, and mended by a person.
  assert.equal((await start().check(long)).ok, false);
  const later = await machine(t, nameAt(11 - MOST_CARRIED));
  assert.equal((await later.start().check(long)).ok, true);
});

test("G1 what was accepted under the key before counts on, also after a restart in between", async (t) => {
  const { home, start } = await machine(t);
  await storeAcceptedLayer(home, layerBy(0, 5));
  // The next revision does not fit this machine: its key is taken all the same.
  await start().check(layerBy(1, 6));
  assert.equal((await readAcceptedLayer(home, nameAt(0))).layer?.revision, 5);
  await storeAcceptedLayer(home, layerBy(1, 6));
  assert.equal((await readAcceptedLayer(home, nameAt(0))).layer?.revision, 6);
  // The file names the newer key by now: it is the same fleet's.
  assert.equal((await readAcceptedLayer(home, nameAt(1))).layer?.revision, 6);
  // A person names a key anew: nothing of before counts under that line.
  assert.match((await readAcceptedLayer(home, nameAt(7))).problem ?? "", /another key/);
});

test("G1 a file of handovers that is torn or forged brings no key back", async (t) => {
  const { home, start } = await machine(t);
  await start().check(layerBy(1, 2));
  const file = join(home, "fleet", "operator.json");
  const text = await readFile(file, "utf8");
  for (const torn of [
    text.slice(0, 60),
    text.replace(nameAt(1), nameAt(2)),
    text.replace(": 1,", ": 2,"),
    "{}",
  ]) {
    await writeFile(file, torn);
    await assert.rejects(start().check(layerBy(0, 9)), /not as it was written/);
  }
});

test("G1 after 200 exchanges no further key is taken, and a person is told to name the one that counts", async (t) => {
  const keys = Array.from({ length: 202 }, () => randomBytes(32));
  const names = keys.map(userKey);
  const chain = keys
    .slice(0, -1)
    .map((key, index) => signHandover({ to: names[index + 1] ?? "", number: index + 1, time: TIME }, key));
  const { home, start } = await machine(t, names[0]);
  await mkdir(join(home, "fleet"), { recursive: true });
  await writeFile(
    join(home, "fleet", "operator.json"),
    JSON.stringify({ version: 1, handovers: chain.slice(0, 200) }),
  );
  const words = { revision: 1, time: TIME, by: "nas", text: "" };
  const next = signLayer(words, keys[201] ?? KEY, chain.slice(200));
  await assert.rejects(start().check(Buffer.from(next)), { message: /exchanged too often/ });
  assert.equal((await readTrust(home, names[0] ?? "")).operator, names[200]);
});

test("G1 keys are followed to the last, and a circle ends", () => {
  assert.deepEqual(keysFrom(nameAt(9), CHAIN), NAMES.slice(9));
  assert.deepEqual(handoversTo(nameAt(3), CHAIN), CHAIN.slice(0, 3));
  const circle = [...CHAIN.slice(0, 1), signHandover({ to: nameAt(0), number: 2, time: TIME }, keyAt(1))];
  assert.deepEqual(keysFrom(nameAt(0), circle), NAMES.slice(0, 2));
  assert.equal(handoversTo(nameAt(1), [...circle, ...CHAIN.slice(5)]).length, 2);
  assert.equal(readSignedLayer(layerBy(1, 1), { operator: nameAt(1), earlier: [] }).ok, true);
});
