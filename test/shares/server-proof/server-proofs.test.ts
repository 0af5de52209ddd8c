// Which server is behind a route, by what its root shows: roots in memory, what is known of the servers on disk.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { serverFolder, shareFiles } from "../../../src/shares/drivers/share-files.ts";
import { createKnownServers } from "../../../src/shares/server-proof/known-servers.ts";
import { createListingCollector, type RootListing } from "../../../src/shares/server-proof/root-listing.ts";
import type {
  ProofProgram,
  ReadFailure,
  ReadRequest,
  RootReader,
} from "../../../src/shares/server-proof/root-reader.ts";
import {
  createServerProofs,
  type Expected,
  type ProofEndpoint,
  type ProofResult,
  type ServerProofOptions,
} from "../../../src/shares/server-proof/server-proofs.ts";
import type { RouteName, ShareSpec } from "../../../src/shares/share-spec.ts";
import { pluck } from "../../support/pluck.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../share-spec.ts";

const GUID = "0".repeat(32);
const OTHER_GUID = "f".repeat(32);
const LONG_AGO_MS = Date.UTC(2021, 2, 4, 5, 6, 7, 890);
const BORN_MS = Date.UTC(2019, 0, 2, 3, 4, 5);
const SHARE = shareSpec({
  password: "secret word",
  routes: { tb: routeTo("one.test"), fallback: routeTo("two.test") },
});

interface RootEntry {
  readonly size: number;
  readonly modifiedMs: number;
  /** null: the server has none of its own and tells the time of the last change. */
  readonly createdMs: number | null;
}

/** A server, as the share's root shows it. */
interface Nas {
  readonly guid: string | null;
  readonly createdMs: number | null;
  readonly entries: Map<string, RootEntry>;
}

const entry = (change: Partial<RootEntry> = {}): RootEntry => ({
  size: 17,
  modifiedMs: LONG_AGO_MS,
  createdMs: null,
  ...change,
});

function nas(names: readonly string[] = ["first.txt", "second.dat"], change: Partial<Nas> = {}): Nas {
  const entries = new Map(names.map((name) => [name, entry()]));
  return { guid: GUID, createdMs: null, entries, ...change };
}

/** As people clone a NAS: names, sizes and times stay. */
function cloneOf(original: Nas, change: Partial<Nas> = {}): Nas {
  return { ...original, entries: new Map(original.entries), ...change };
}

function listingOf({ entries }: Nas, program: ProofProgram): RootListing {
  const precisionMs = program === "rclone" ? 1 : 1_000;
  const collector = createListingCollector();
  for (const [name, { size, modifiedMs }] of entries)
    collector.add({ name, isFolder: false, size, modifiedMs: modifiedMs - (modifiedMs % precisionMs) });
  return collector.end(precisionMs);
}

const ALL: readonly ProofProgram[] = ["rclone", "smbclient"];
const EACH: readonly (readonly ProofProgram[])[] = [["rclone"], ["smbclient"], ALL];

async function startBench(t: Scope) {
  const stateFolder = await temporaryFolder(t);
  const one = nas();
  const bench = {
    stateFolder,
    at: { tb: one, fallback: one } satisfies Record<RouteName, Nas> as Record<RouteName, Nas>,
    programs: ALL,
    /** Why a program cannot read. */
    broken: new Map<ProofProgram, ReadFailure>(),
    /** After each listing. */
    onListed: (_request: ReadRequest): void => {},
    /** Programs that were run, and waits between readings. */
    ran: [] as string[],
    share: SHARE,
    known: async () => createKnownServers(stateFolder).list(bench.share),
    endpoint: (route: RouteName): ProofEndpoint => ({
      address: `${route}.test`,
      port: 445,
      localAddress: null,
      serverGuid: bench.at[route].guid,
    }),
    /** As another daemon: nothing but what is on disk is remembered. */
    proof: (more: Partial<ServerProofOptions> = {}) =>
      createServerProofs({ clock, logger: noopLogger, stateFolder, reader, ...more }),
    compare: (more: Comparing = {}): Promise<ProofResult> =>
      bench
        .proof(more.options)
        .compare(
          bench.share,
          { tb: bench.endpoint("tb"), fallback: bench.endpoint("fallback") },
          more.inUse ?? null,
          more.isSteady ?? (() => true),
          AbortSignal.any([]),
        ),
    recognise: (
      route: RouteName,
      expected: Expected,
      options?: Partial<ServerProofOptions>,
    ): Promise<ProofResult> =>
      bench
        .proof(options)
        .recognise(bench.share, route, bench.endpoint(route), expected, AbortSignal.any([])),
    /** The id of the server behind both routes. */
    meet: async (): Promise<string> => sameServer(await bench.compare()),
  };
  const clock = {
    ...systemClock,
    sleep: async (ms: number): Promise<void> => void bench.ran.push(`sleep ${ms}`),
  };
  const reader: RootReader = {
    programs: async () => bench.programs,
    list: async (program, request) => {
      bench.ran.push(program);
      const listing = listingOf(bench.at[request.route], program);
      bench.onListed(request);
      return bench.broken.get(program) ?? { kind: "read", listing };
    },
    creationTimes: async ({ route }, names) => {
      bench.ran.push("smbclient births");
      const root = bench.at[route];
      const creationTimes = new Map([["", birthOf(root)]]);
      for (const name of names) {
        const there = root.entries.get(name);
        if (there !== undefined) creationTimes.set(name, birthOf(there));
      }
      return (
        bench.broken.get("smbclient") ?? {
          kind: "read",
          listing: listingOf(root, "smbclient"),
          creationTimes,
        }
      );
    },
    findsAs: async () => null,
    removeLeftovers: async () => {},
  };
  return bench;
}

interface Comparing {
  readonly inUse?: string;
  readonly isSteady?: () => boolean;
  readonly options?: Partial<ServerProofOptions>;
}

type Bench = Awaited<ReturnType<typeof startBench>>;

function birthOf({ createdMs }: { readonly createdMs: number | null }) {
  return { createdMs: createdMs ?? LONG_AGO_MS, isOwn: createdMs !== null };
}

function sameServer(verdict: ProofResult): string {
  return verdict.kind === "same" ? verdict.server : assert.fail(verdict.text);
}

/** `"same"`, or how the text of another verdict reads. */
type Told = "same" | readonly [kind: "different" | "unproved", text: RegExp];

function assertTold(verdict: ProofResult, told: Told, what = ""): void {
  if (told === "same") assert.equal(verdict.kind, told, `${what} ${JSON.stringify(verdict)}`);
  else {
    assert.ok(verdict.kind !== "same" && verdict.kind === told[0], `${what} ${JSON.stringify(verdict)}`);
    assert.match(verdict.text, told[1], what);
    assert.ok(!verdict.text.includes("\n"), verdict.text);
  }
}

const CHANGED = entry({ size: 2 });
const refused: ReadFailure = { kind: "failed", text: "logon failure", isRefusedLogin: true };
const failed: ReadFailure = { kind: "failed", text: "no such backend", isRefusedLogin: false };

/** What a row changes: of the server, a clone stands behind the route. */
interface Scene {
  readonly tb?: Partial<Nas>;
  readonly fallback?: Partial<Nas>;
  readonly programs?: readonly ProofProgram[];
  /** Programs that cannot read. */
  readonly broken?: Partial<Record<ProofProgram, ReadFailure>>;
  readonly share?: Partial<ShareSpec>;
  readonly isSteady?: () => boolean;
  readonly options?: Partial<ServerProofOptions>;
}

function change(bench: Bench, { tb, fallback, programs, broken = {}, share }: Scene): void {
  const original = bench.at.tb;
  if (tb !== undefined) bench.at.tb = cloneOf(original, tb);
  if (fallback !== undefined) bench.at.fallback = cloneOf(original, fallback);
  bench.programs = programs ?? bench.programs;
  for (const program of ALL) if (broken[program]) bench.broken.set(program, broken[program]);
  bench.share = { ...bench.share, ...share };
}

/** The entries that all roots begin with, some of them changed, or more. */
const entriesWith = (changed: Readonly<Record<string, RootEntry>>): Nas["entries"] =>
  new Map([...nas().entries, ...Object.entries(changed)]);

const comparisons: readonly (readonly [title: string, scene: Scene, told: Told])[] = [
  ["A10 equal roots of one ServerGuid are one server", {}, "same"],
  [
    "A10 a clone with one more file is different",
    { fallback: { entries: entriesWith({ "one more.txt": entry() }) } },
    [
      "different",
      /^\/\/one\.test\/CORE and \/\/two\.test\/CORE list different files: only the second has one more\.txt$/,
    ],
  ],
  [
    "A10 a clone with a file of another time is different",
    { fallback: { entries: entriesWith({ "first.txt": entry({ modifiedMs: 1_000 }) }) } },
    ["different", /first\.txt was changed at different times$/],
  ],
  [
    "A10 a clone with equal times is recognized by its creation times",
    { fallback: { createdMs: BORN_MS } },
    ["different", /were created at different times$/],
  ],
  [
    "A10 rclone does not see those creation times",
    { programs: ["rclone"], fallback: { createdMs: BORN_MS } },
    "same",
  ],
  [
    "A10 where smbclient reports no creation times, the listings decide",
    { broken: { smbclient: failed }, fallback: { createdMs: BORN_MS } },
    "same",
  ],
  [
    "A10 servers with other ServerGuids are different",
    { fallback: { guid: OTHER_GUID } },
    ["different", /two servers: their ServerGuids are 0+ and f+$/],
  ],
  [
    "A10 a server without a ServerGuid proves nothing",
    { tb: { guid: null } },
    ["unproved", /^\/\/one\.test\/CORE does not show its ServerGuid$/],
  ],
  [
    "A10 nor does one behind the fallback",
    { fallback: { guid: null } },
    ["unproved", /^\/\/two\.test\/CORE does not show its ServerGuid$/],
  ],
  [
    "A10 without rclone and smbclient nothing is proved, and the text names the packages to install",
    { programs: [] },
    ["unproved", /nothing here can list .*: install rclone or smbclient$/],
  ],
  [
    "F3 a login that must be signed is sent nowhere without smbclient",
    { programs: ["rclone"], options: { signsLogins: true } },
    ["unproved", /install smbclient, which signs the login$/],
  ],
  [
    "F3 a guest has nothing to sign",
    { programs: ["rclone"], share: { password: null }, options: { signsLogins: true } },
    "same",
  ],
  [
    "A14 a missing password is not invented",
    { share: { missingVariable: "NAS" } },
    ["unproved", /the password is missing$/],
  ],
  [
    "A10 two empty roots prove nothing",
    { tb: { entries: new Map() }, fallback: { entries: new Map() } },
    ["unproved", /^\/\/one\.test\/CORE and \/\/two\.test\/CORE are empty$/],
  ],
  ["A10 where rclone fails, smbclient lists", { broken: { rclone: failed } }, "same"],
  [
    "A10 where both fail, the first one's reason is reported",
    { broken: { rclone: failed, smbclient: { ...failed, text: "something else" } } },
    ["unproved", /^\/\/one\.test\/CORE cannot be listed: no such backend$/],
  ],
  [
    "A10 a reading from before a route was lost proves nothing",
    { isSteady: () => false },
    ["unproved", /was lost during the check$/],
  ],
  [
    "A10 nor does it when another server answers afterwards",
    { options: { hostProber: answering(OTHER_GUID) } },
    ["unproved", /was lost during the check$/],
  ],
  [
    "A10 nor when another one answers over one of the two routes",
    { options: { hostProber: answering(OTHER_GUID, "fallback.test") } },
    ["unproved", /was lost during the check$/],
  ],
  ["A10 it counts when the same one does", { options: { hostProber: answering(GUID) } }, "same"],
];

/** `only`: the address at which this server answers; at others the first one still does. */
function answering(serverGuid: string, only?: string): NonNullable<ServerProofOptions["hostProber"]> {
  return {
    probe: async ({ host: address }) => ({
      ...({ verdict: "answers", reason: "negotiated", tcpAnswered: true } as const),
      ...{ text: "it answers", tookMs: 1, address, interfaceName: null, localAddress: null },
      serverGuid: only === undefined || only === address ? serverGuid : GUID,
    }),
  };
}

for (const [title, scene, told] of comparisons) {
  test(title, async (t) => {
    const bench = await startBench(t);
    change(bench, scene);
    assertTold(await bench.compare(scene), told);
    assert.equal((await bench.known()).length, told === "same" ? 1 : 0, "only what is proved is known");
  });
}

test("A10 a root where everything keeps changing proves nothing", async (t) => {
  const bench = await startBench(t);
  bench.at = { tb: nas(["log"]), fallback: nas(["log"], { createdMs: BORN_MS }) };
  let size = 0;
  bench.onListed = ({ route }) => {
    size += 1;
    bench.at[route].entries.set("log", entry({ size }));
  };
  bench.programs = ["rclone"];
  bench.at.tb.entries.set("log", entry({ size: 99 }));
  assertTold(await bench.compare(), ["unproved", /^all entries of .* keep changing$/]);
  assert.equal(bench.ran.filter((one) => one === "rclone").length, 6, "three readings of both routes");
});

test("A14 a proof that is cancelled, or whose password is missing, runs no program", async (t) => {
  const bench = await startBench(t);
  await bench.meet();
  bench.ran.length = 0;
  const [tb, fallback] = [bench.endpoint("tb"), bench.endpoint("fallback")];
  const gone = AbortSignal.abort(new Error("gone"));
  const proof = bench.proof();
  await assert.rejects(
    proof.compare(SHARE, { tb, fallback }, null, () => true, gone),
    /gone/,
  );
  await assert.rejects(proof.recognise(SHARE, "tb", tb, { server: null }, gone), /gone/);
  bench.share = { ...SHARE, missingVariable: "NAS_PASSWORD" };
  for (const verdict of [await bench.compare(), await bench.recognise("tb", { server: null })])
    assertTold(verdict, ["unproved", /the password is missing$/]);
  assert.deepEqual(bench.ran, []);
});

test("A10 the creation times of a new server's files are read a second time, those of a known one are not", async (t) => {
  const bench = await startBench(t);
  for (const births of [2, 1]) {
    bench.ran.length = 0;
    assertTold(await bench.recognise("tb", { server: null }), "same");
    assert.deepEqual(
      bench.ran,
      Array.from({ length: births }, () => "smbclient births"),
    );
  }
});

test("A14 a refused login is not tried by a second program", async (t) => {
  const bench = await startBench(t);
  bench.broken.set("rclone", refused);
  assertTold(await bench.compare(), ["unproved", /cannot be listed: logon failure$/]);
  assert.deepEqual(bench.ran, ["rclone", "rclone"]);
  bench.ran.length = 0;
  bench.broken.clear();
  bench.broken.set("smbclient", refused);
  assertTold(await bench.recognise("tb", { server: null }), ["unproved", /cannot be listed: logon failure$/]);
  assert.deepEqual(bench.ran, ["smbclient births"]);
});

test("A10 a file that is being written all the time, and files that appear and disappear, do not make two servers", async (t) => {
  const bench = await startBench(t);
  let count = 0;
  bench.onListed = ({ route }) => {
    const { entries } = bench.at[route];
    entries.delete(`passing-${count}`);
    count += 1;
    entries.set("log.txt", entry({ size: count })).set(`passing-${count}`, entry());
  };
  assertTold(await bench.compare(), "same");
  assert.deepEqual(
    bench.ran.filter((what) => what.startsWith("sleep")),
    ["sleep 1000"],
    "it was read again a second later",
  );
});

test("A10 roots of thousands of files are compared to the last, and little of them is stored", async (t) => {
  const bench = await startBench(t);
  const names = Array.from({ length: 6_000 }, (_, index) => `file-${String(index).padStart(5, "0")}`);
  bench.programs = ["rclone"];
  bench.at = { tb: nas(names), fallback: nas(names) };
  await bench.meet();
  assert.equal((await bench.known())[0]?.witness?.entries.length, 64);
  bench.at.fallback.entries.set("file-05999", entry({ size: 1 }));
  assertTold(await bench.compare(), ["different", /different files among their 6000 and 6000 entries$/]);
});

test("A10 a server that was mounted before it could be proved keeps its id", async (t) => {
  const bench = await startBench(t);
  const id = await bench.proof().begin(SHARE, "tb");
  assert.deepEqual(await bench.recognise("tb", { server: id }), {
    kind: "unproved",
    text: "nothing is known yet of the server behind //tb.test/CORE",
    isBlank: true,
  });
  assert.equal(sameServer(await bench.compare({ inUse: id })), id);
  for (const file of [...bench.at.tb.entries.keys()]) bench.at.tb.entries.set(file, entry({ size: 2 }));
  assert.equal(sameServer(await bench.compare({ inUse: id })), id, "whatever became of its root meanwhile");
  assert.equal((await bench.known()).length, 1);
});

test("A13 a server that was mounted before it could be proved, and was known earlier, has its earlier id", async (t) => {
  const bench = await startBench(t);
  const server = await bench.meet();
  const id = await bench.proof().begin(SHARE, "tb");
  assert.equal(sameServer(await bench.compare({ inUse: id })), server);
});

test("A13 another share of a known server is another server, even where both show the same files", async (t) => {
  const bench = await startBench(t);
  const server = await bench.meet();
  bench.share = { ...SHARE, shareName: "OTHER" };
  assert.notEqual(sameServer(await bench.recognise("tb", { server: null })), server);
});

test("A13 the other route's server is recognized by its creation times, although a proof took the routes for two servers", async (t) => {
  const bench = await startBench(t);
  bench.at.tb = bench.at.fallback = nas(undefined, { createdMs: BORN_MS });
  const server = await bench.meet();
  assert.equal(sameServer(await bench.recognise("tb", { server: null, not: server })), server);
});

/** The server was met over both routes; then `scene`. Default: that server is expected. */
const recognitions: readonly (readonly [
  title: string,
  scene: Scene,
  told: Told,
  expected?: (server: string) => Expected,
])[] = [
  ["A10 a server is recognized", {}, "same"],
  [
    "A10 a root where everything known has changed is unproved",
    { tb: { entries: entriesWith({ "first.txt": CHANGED, "second.dat": CHANGED }) } },
    ["unproved", /nothing left in it that is as it was before$/],
  ],
  ["A10 a root that has become empty is unproved", { tb: { entries: new Map() } }, ["unproved", /is empty$/]],
  [
    "A10 another ServerGuid than before means another server",
    { tb: { guid: OTHER_GUID } },
    ["different", /leads to another server than before: its ServerGuid is f+, not 0+$/],
  ],
  [
    "A10 and does so when it cannot be listed",
    { tb: { guid: OTHER_GUID }, broken: { rclone: refused, smbclient: refused } },
    ["different", /leads to another server than before/],
  ],
  [
    "A10 and when no program can list it",
    { tb: { guid: OTHER_GUID }, programs: [] },
    ["different", /leads to another server than before/],
  ],
  [
    "A10 a ServerGuid that is no longer reported proves nothing",
    { tb: { guid: null } },
    ["unproved", /does not show its ServerGuid$/],
  ],
  [
    "A10 a server that nothing can list now is unproved",
    { programs: [] },
    ["unproved", /install rclone or smbclient$/],
  ],
  ["A10 rclone recognizes the server where smbclient fails", { broken: { smbclient: failed } }, "same"],
  [
    "A13 another user, whose login is refused, learns nothing of the server",
    { share: { username: "somebody" }, broken: { rclone: refused, smbclient: refused } },
    ["unproved", /cannot be listed: logon failure$/],
  ],
  [
    "A10 a reading from before the server was lost proves nothing",
    {},
    ["unproved", /was lost during the check$/],
    (server) => ({ server, isSteady: () => false }),
  ],
  [
    "A10 nor does it when another server answers afterwards",
    { options: { hostProber: answering(OTHER_GUID) } },
    ["unproved", /was lost during the check$/],
  ],
  [
    "A10 a server that was never met cannot be recognized",
    {},
    ["unproved", /^nothing is known yet of the server behind /],
    () => ({ server: "nobody" }),
  ],
  [
    "A13 the other route's server is not taken for another by rclone, which sees no creation times",
    { programs: ["rclone"] },
    ["unproved", /does not tell now when it was created$/],
    (server) => ({ server: null, not: server }),
  ],
];

for (const [title, scene, told, expect] of recognitions) {
  test(title, async (t) => {
    const bench = await startBench(t);
    bench.at.tb = bench.at.fallback = nas(undefined, { createdMs: BORN_MS });
    const server = await bench.meet();
    change(bench, scene);
    const expected = expect?.(server) ?? { server };
    assertTold(await bench.recognise("tb", expected, scene.options), told);
  });
}

for (const programs of EACH) {
  const by = programs.join(" and ");

  test(`A10 by ${by}, a server with the old name and other content is not the earlier one`, async (t) => {
    const bench = await startBench(t);
    bench.programs = programs;
    const server = await bench.meet();
    bench.at.tb = nas(["unheard of.txt"]);
    const verdict = await bench.recognise("tb", { server });
    assertTold(verdict, ["different", /none of the 2 entries that it had before$/]);
    assert.ok(verdict.kind === "different" && verdict.server !== undefined && verdict.server !== server);
  });

  test(`A10 by ${by}, a server that was away is recognized after a restart, whatever was added, removed and changed`, async (t) => {
    const bench = await startBench(t);
    const { entries } = bench.at.tb;
    entries.set("third.txt", entry());
    bench.programs = programs;
    const server = await bench.meet();
    entries.set("new.txt", entry({ size: 3 })).set("first.txt", entry({ size: 30 }));
    entries.delete("second.dat");
    // Each time another daemon, with whatever is installed by then.
    assert.equal(sameServer(await bench.recognise("fallback", { server })), server);
    bench.programs = ALL;
    assert.equal(sameServer(await bench.recognise("tb", { server })), server);
  });
}

test("A10 a clone in a server's place is recognized by its creation times, which only smbclient gives", async (t) => {
  const bench = await startBench(t);
  const original = { ...bench.at.tb, createdMs: BORN_MS };
  bench.at.tb = bench.at.fallback = original;
  const server = await bench.meet();
  bench.at.tb = cloneOf(original, { createdMs: BORN_MS + 86_400_000 });
  assertTold(await bench.recognise("tb", { server }), ["different", /was created at another time$/]);
  assert.equal(sameServer(await bench.recognise("fallback", { server })), server);
  const blind = await startBench(t);
  blind.programs = ["rclone"];
  blind.at.tb = blind.at.fallback = original;
  const known = await blind.meet();
  blind.at.tb = cloneOf(original, { createdMs: BORN_MS + 86_400_000 });
  assert.equal(sameServer(await blind.recognise("tb", { server: known })), known);
});

test("A13 of three servers of one ServerGuid each has its id, and a clone by its own creation times", async (t) => {
  const bench = await startBench(t);
  const first = { ...bench.at.tb, createdMs: BORN_MS };
  const second = cloneOf(first, { createdMs: BORN_MS + 86_400_000 });
  const idOf = async (at: Nas): Promise<string> => {
    bench.at.tb = at;
    return sameServer(await bench.recognise("tb", { server: null }));
  };
  const original = await idOf(first);
  bench.at.tb = second;
  const unsteady = { server: null, isSteady: () => false };
  assertTold(await bench.recognise("tb", unsteady), ["unproved", /was lost during the check$/]);
  assert.equal((await bench.known()).length, 1, "what may be read of two servers makes none known");
  const copy = await idOf(second);
  const third = await idOf(nas(["other.txt"]));
  assert.equal(new Set([original, copy, third]).size, 3);
  assert.deepEqual([await idOf(first), await idOf(second)], [original, copy]);
  assert.equal(
    sameServer(await bench.recognise("tb", { server: null, not: original })),
    copy,
    "creation times outweigh what was found before",
  );
});

test("A13 servers that nothing distinguishes are not guessed at", async (t) => {
  const bench = await startBench(t);
  bench.programs = ["rclone"];
  const one = await bench.meet();
  const other = sameServer(await bench.recognise("tb", { server: null, not: one }));
  assert.notEqual(one, other);
  assertTold(await bench.recognise("tb", { server: null }), [
    "unproved",
    /looks like 2 servers that are known$/,
  ]);
});

test("A13 a damaged file erases all knowledge of a server", async (t) => {
  const bench = await startBench(t);
  const server = await bench.meet();
  const path = join(serverFolder(shareFiles(bench.stateFolder, SHARE.name).folder, server), "server.json");
  const text = await readFile(path, "utf8");
  const timeless = text.replace(/"modifiedMs":\d+/, '"modifiedMs":null');
  assert.notEqual(timeless, text);
  const inEntries = text.replace('"entries":[', '"entries":[7,');
  for (const damaged of ["", text.slice(0, -20), "[]", inEntries, timeless]) {
    await writeFile(path, damaged);
    assertTold(await bench.recognise("tb", { server }), ["unproved", /nothing is known yet/], damaged);
  }
});

test("A13 facts that an earlier version knew of a share's one server stay known", async (t) => {
  const bench = await startBench(t);
  await bench.meet();
  const { folder } = shareFiles(bench.stateFolder, SHARE.name);
  const [{ shareName, witness } = assert.fail()] = await bench.known();
  await rm(join(folder, "servers"), { recursive: true });
  const before = { version: 1, shareName, username: SHARE.username, ...witness };
  await writeFile(join(folder, "server.json"), `${JSON.stringify(before)}\n`);
  assert.equal(await bench.meet(), "first");
  assert.deepEqual(pluck(await bench.known(), "id"), ["first"]);
});

test("A13 a server that cannot be read now is not forgotten, or it would get a second id and never be recognized", async (t) => {
  const { stateFolder, known } = await startBench(t);
  const { folder } = shareFiles(stateFolder, SHARE.name);
  await mkdir(join(serverFolder(folder, "aaaaaaaaaaaaaaaa"), "server.json"), { recursive: true });
  await assert.rejects(known(), { code: "EISDIR" });
});

test("A10 proofs of one share take turns, and two of other shares run side by side", async (t) => {
  const bench = await startBench(t);
  const running: string[] = [];
  const beside: string[] = [];
  const two = Promise.withResolvers<void>();
  const reader = { kind: "read", listing: listingOf(bench.at.tb, "rclone") } as const;
  const proof = bench.proof({
    reader: {
      programs: async () => ["rclone"],
      list: async (_program, { share }) => {
        running.push(share.name);
        beside.push(running.join(" "));
        if (running.length === 2) two.resolve();
        await two.promise;
        running.splice(running.indexOf(share.name), 1);
        return reader;
      },
      creationTimes: () => assert.fail("there is no smbclient"),
      findsAs: async () => null,
      removeLeftovers: async () => {},
    },
  });
  const shares = ["A", "A", "B", "C"].map((name) => ({ ...SHARE, name }));
  await Promise.all(
    shares.map((share) =>
      proof.recognise(share, "tb", bench.endpoint("tb"), { server: null }, AbortSignal.any([])),
    ),
  );
  assert.equal(beside.length, 4);
  assert.ok(
    beside.every((names) => names !== "A A" && names.split(" ").length <= 2),
    beside.join(),
  );
});
