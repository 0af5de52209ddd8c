// The write caches of a share's servers, and the notes in them.
import assert from "node:assert/strict";
import { cp, mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { createCacheCare } from "../../../../src/shares/drivers/rclone/cache-care.ts";
import {
  type ByteRange,
  type CacheFile,
  type CacheMetadata,
  judgeMetadata,
  parseCacheMetadata,
  realBytes,
  rfc3339,
  subtract,
  union,
} from "../../../../src/shares/drivers/rclone/cache-metadata.ts";
import { createCaches, createFormerShares } from "../../../../src/shares/drivers/rclone/caches.ts";
import { type RcloneFiles, REMOTE_NAME, rcloneFilesIn } from "../../../../src/shares/drivers/rclone/files.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { createUnsentWrites } from "../../../../src/shares/drivers/rclone/unsent.ts";
import { shareFiles } from "../../../../src/shares/drivers/share-files.ts";
import type { Prober } from "../../../../src/shares/prober/prober.ts";
import { sourceOf } from "../../../../src/shares/smb-source.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

const SHARE = shareSpec({});
const [AWAY, HERE] = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"] as const;

async function scene(t: TestContext, notesAtMost?: number) {
  const stateFolder = await temporaryFolder(t);
  const clock = createManualClock();
  const unsent = createUnsentWrites(notesAtMost);
  const care = createCacheCare({
    clock,
    logger: noopLogger,
    unsent,
    onChange: () => {},
    home: stateFolder,
  });
  const caches = createCaches({
    clock,
    logger: noopLogger,
    stateFolder,
    unsent,
    onReplaced: care.replaced,
  });
  const { folder } = shareFiles(stateFolder, SHARE.name);
  const [away, here] = [rcloneFilesIn(folder, AWAY), rcloneFilesIn(folder, HERE)];
  for (const { cache } of [away, here]) {
    await mkdir(cache, { recursive: true });
    await writeFile(
      join(dirname(cache), "server.json"),
      JSON.stringify({ source: "//nas/core", witness: {} }),
    );
  }
  return { caches, care, unsent, away, here, stateFolder, clock };
}

/** As rclone leaves a file of which it has noted no byte yet. */
async function write({ cache }: RcloneFiles, name: string): Promise<void> {
  const note = { Dirty: true, Size: 0, Rs: [] };
  for (const [kind, content] of [
    ["vfs", "written"],
    ["vfsMeta", JSON.stringify(note)],
  ] as const) {
    const path = join(cache, kind, REMOTE_NAME, SHARE.shareName, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

async function sent({ cache }: RcloneFiles, name: string): Promise<void> {
  const path = join(cache, "vfsMeta", REMOTE_NAME, SHARE.shareName, name);
  await writeFile(path, JSON.stringify({ Dirty: false }));
}

test("A13 a person's confirmation covers the files that waited then, not those written once that server is back", async (t) => {
  const { caches, unsent, away, here } = await scene(t);
  await write(away, "of before");
  await caches.sendHere(AWAY, here);
  // It comes back before that is done, sends its files, and more is written on it.
  await caches.prepare(SHARE, away);
  await sent(away, "of before");
  await write(away, "of later");
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), []);
  assert.deepEqual(await unsent.of(away.cache, SHARE.shareName), ["of later"]);
});

test("A13 a crash right after the files were moved leaves no confirmation for later files", async (t) => {
  const { caches, unsent, away, here } = await scene(t);
  await write(away, "of before");
  await caches.sendHere(AWAY, here);
  await rename(away.cache, `${here.cache}.was`);
  await caches.prepare(SHARE, here);
  await write(away, "of later");
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), []);
});

test("A13 waiting files are never sent over others that are not sent yet, whenever those were written", async (t) => {
  const { caches, unsent, away, here } = await scene(t);
  await write(away, "of before");
  await caches.sendHere(AWAY, here);
  await write(here, "new");
  await assert.rejects(caches.sendHere(AWAY, here), { code: "usage" });
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), ["new"]);
  assert.deepEqual(await unsent.of(away.cache, SHARE.shareName), ["of before"]);
});

test("A13 files are sent only to the server that they were written for, and then nothing of that server is kept", async (t) => {
  const { caches, unsent, here } = await scene(t);
  const first = rcloneFilesIn(here.folder);
  const facts = join(dirname(here.cache), "server.json");
  await write(first, "of before");
  await writeFile(join(first.folder, "server.json"), JSON.stringify({ source: "//nas/core" }));
  await writeFile(facts, JSON.stringify({ source: "//nas/core" }));
  await caches.sendHere("first", here);
  assert.deepEqual(
    (await caches.all(SHARE, HERE)).map(({ server }) => server),
    ["first"],
  );
  await writeFile(facts, JSON.stringify({ source: "//nas/core", witness: {} }));
  await caches.prepare(SHARE, here);
  assert.deepEqual(
    await unsent.of(here.cache, SHARE.shareName),
    [],
    "this one can be recognized, that one could not",
  );
  await writeFile(facts, JSON.stringify({ source: "//nas/core" }));
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), ["of before"]);
  await assert.rejects(readFile(join(first.folder, "server.json")), { code: "ENOENT" });
});

test("A2 a file whose engine's metadata is followed by lines is unsent", async (t) => {
  const folder = await temporaryFolder(t);
  const notes = join(folder, "vfsMeta", "share", "CORE");
  await mkdir(notes, { recursive: true });
  const json = JSON.stringify({ Size: 3, Dirty: true, Exact: true }, null, "\t");
  await writeFile(join(notes, "file"), `${json}\n{"Pos":0,"Size":1}\n{"Po`);
  const unsent = createUnsentWrites();
  assert.deepEqual(await unsent.of(folder, "CORE"), ["file"]);
  assert.equal(await unsent.unsettled(folder), false);
});

test("A2 metadata is read again if it was torn, or has another time", async (t) => {
  const { unsent, here } = await scene(t);
  const path = join(here.cache, "vfsMeta", REMOTE_NAME, SHARE.shareName, "file");
  await mkdir(dirname(path), { recursive: true });
  const noted = async (content: string, atS: number): Promise<readonly string[]> => {
    await writeFile(path, content);
    await utimes(path, atS, atS);
    return unsent.of(here.cache, SHARE.shareName);
  };
  assert.deepEqual(await noted('{"Dirty":false ', 1), ["file"]);
  assert.deepEqual(await noted('{"Dirty":false}', 1), []);
  assert.deepEqual(await noted('{"Dirty":true }', 2), ["file"]);
});

test("A15 pending uploads are looked up again once a different server, or none, is mounted", async (t) => {
  const { caches, away, clock } = await scene(t);
  const waits = async (inUse: string | null): Promise<readonly string[]> =>
    (await caches.waiting(SHARE, inUse)).map(({ server }) => server);
  assert.deepEqual(await waits(null), []);
  await write(away, "file");
  assert.deepEqual(await waits(null), [], "each cycle would read all notes");
  await clock.advance(10_000);
  assert.deepEqual(await waits(null), [AWAY]);
  assert.deepEqual(await waits(AWAY), []);
  assert.deepEqual(await waits(null), [AWAY]);
});

test("A13 pending uploads of an unconfigured share are listed with its name and server, and reported until it is configured again", async (t) => {
  const { away, here, stateFolder, clock } = await scene(t);
  await write(away, "deep/precious");
  const former = createFormerShares({ clock, logger: noopLogger, stateFolder });
  assert.deepEqual(await former.search([SHARE.name]), []);
  await write(away, "moved away by a person");
  await rm(join(away.cache, "vfs", REMOTE_NAME, SHARE.shareName, "moved away by a person"));
  await write(here, "moved away, too");
  await rm(join(here.cache, "vfs", REMOTE_NAME, SHARE.shareName, "moved away, too"));
  const [one, ...more] = await former.search(["OTHER"]);
  assert.deepEqual(more, []);
  assert.deepEqual(
    [one?.share, one?.waiting.server, one?.waiting.source, one?.waiting.inUse],
    [SHARE.name, AWAY, "//nas/core", false],
  );
  assert.deepEqual(
    one?.waiting.files.map(({ path, bytes }) => [path, bytes]),
    [["deep/precious", 7]],
  );
  const told = (configured: string, count: number): Promise<boolean> =>
    eventually(async () => {
      await clock.advance(10_000);
      return former.known([configured]).length === count;
    });
  await told("OTHER", 1);
  const serving = { ...(await processIdentity(process.pid)), mountPath: "/mnt", server: AWAY };
  await writeFile(away.process, JSON.stringify({ ...serving, carriedPort: null, pinned: false }));
  await told("OTHER", 0);
  await rm(away.process);
  await told("OTHER", 1);
  await told(SHARE.name, 0);
});

test("A11 F6 the list of unsent files is complete however many sent files are read first", async (t) => {
  const { caches, unsent, away, stateFolder, clock } = await scene(t, 3);
  for (const name of ["a", "b", "c", "d"]) {
    await write(away, name);
    await sent(away, name);
  }
  await write(away, "deep/precious");
  const former = createFormerShares({ clock, logger: noopLogger, stateFolder }, unsent);
  for (const found of [
    await caches.all(SHARE, null),
    (await former.search([])).map(({ waiting }) => waiting),
  ])
    assert.deepEqual(
      found.flatMap(({ files }) => files.map(({ path }) => path)),
      ["deep/precious"],
    );
});

test("A13 pending uploads under the share's former spelling are sent under its present one", async (t) => {
  const { caches, unsent, here } = await scene(t);
  await write(here, "precious");
  const respelt = { ...SHARE, shareName: SHARE.shareName.toLowerCase() };
  assert.notEqual(respelt.shareName, SHARE.shareName);
  await caches.prepare(respelt, here);
  assert.deepEqual(await unsent.of(here.cache, respelt.shareName), ["precious"]);
  await write(here, "other");
  await caches.prepare(respelt, here);
  assert.deepEqual(
    await unsent.of(here.cache, SHARE.shareName),
    ["other"],
    "where both are, neither is renamed",
  );
  assert.deepEqual((await caches.all(respelt, HERE))[0]?.files.length, 1);
});

test("A13 files that a person puts next to the servers' folders are not taken for a server", async (t) => {
  const { caches, away } = await scene(t);
  await write(away, "precious");
  await writeFile(join(away.folder, "servers", ".DS_Store"), "");
  await cp(dirname(away.cache), join(away.folder, "servers", "a copy"), { recursive: true });
  assert.deepEqual(
    (await caches.all(SHARE, HERE)).map(({ server }) => server),
    [AWAY],
  );
});

test("A13 a cache with more metadata files than are read is never taken for an empty one", async (t) => {
  const { caches, unsent, away, here } = await scene(t, 3);
  await writeFile(join(dirname(away.cache), "server.json"), JSON.stringify({ source: "//nas/core" }));
  await write(away, "a/precious");
  // Folders are read last one first: those of z are all that is seen.
  for (const name of ["z/1", "z/2", "z/3"]) {
    await write(away, name);
    await sent(away, name);
  }
  assert.deepEqual(await unsent.of(away.cache, SHARE.shareName), []);
  await caches.prepare(SHARE, here);
  const kept = join(away.cache, "vfs", REMOTE_NAME, SHARE.shareName, "a/precious");
  assert.equal(await readFile(kept, "utf8"), "written");
});

for (const [proved, before] of [
  [true, { version: 1, shareName: SHARE.shareName, username: "u", serverGuid: "aa", entries: [] }],
  [false, null],
] as const) {
  test(`A13 files that an earlier version left, its server ${proved ? "" : "not "}proved, are listed with their location, whatever the hosts are edited to`, async (t) => {
    const { caches, stateFolder } = await scene(t);
    const old = rcloneFilesIn(shareFiles(stateFolder, SHARE.name).folder);
    await write(old, "of before");
    const note = join(old.folder, "server.json");
    if (before !== null) await writeFile(note, JSON.stringify(before));
    const told = async (share: typeof SHARE) =>
      (await caches.all(share, HERE)).map((one) => [one.server, one.source, one.proved]);
    await told(SHARE);
    const routes = { tb: routeTo("10.9.9.9"), fallback: routeTo(null) };
    const source = sourceOf(SHARE.routes.tb, SHARE.shareName);
    assert.deepEqual(await told({ ...SHARE, routes }), [["first", source, proved]]);
    // What was known of it is known still.
    assert.deepEqual(JSON.parse(await readFile(note, "utf8")), {
      ...(before ?? { version: 1, shareName: SHARE.shareName }),
      source,
    });
  });
}

test("A13 the cache of a server that can never be recognized again is removed with its last file", async (t) => {
  const { caches, away, here } = await scene(t);
  const isKept = () => stat(dirname(away.cache)).then(Boolean, () => false);
  await caches.prepare(SHARE, here);
  assert.equal(await isKept(), true, "this one was proved");
  await writeFile(join(dirname(away.cache), "server.json"), JSON.stringify({ source: "//nas/core" }));
  await write(away, "waits");
  await caches.prepare(SHARE, here);
  assert.equal(await isKept(), true, "a file waits for it");
  await sent(away, "waits");
  const first = join(away.folder, "server.json");
  await writeFile(first, JSON.stringify({ source: "//nas/core" }));
  await caches.prepare(SHARE, here);
  assert.equal(await isKept(), false);
  assert.ok(await stat(first), "the server of a version before is the one that new proofs begin with");
});

test("A11 files that one server's rclone did not touch show nothing about another server's files", async (t) => {
  const { care, away, here } = await scene(t);
  await write(here, "file");
  const place = (files: RcloneFiles) => ({ shareName: SHARE.name, files });
  await care.review(place(away));
  care.neverMounted(place(away));
  await care.review(place(here));
  // What its note did not list is listed now, or it would be fetched over.
  const path = join(here.cache, "vfsMeta", REMOTE_NAME, SHARE.shareName, "file");
  const note = await readFile(path, "utf8").catch(() => "set aside");
  assert.notEqual(note, JSON.stringify({ Dirty: true, Size: 0, Rs: [] }));
});

test("A11 a start that is late because the server does not answer sets no file aside", async (t) => {
  const { care, here } = await scene(t);
  await write(here, "file");
  const inCache = join(REMOTE_NAME, SHARE.shareName, "file");
  await using _held = await open(join(here.cache, "vfs", inCache));
  const stuck = () => care.stuck(here, SHARE.shareName, process.pid, true);
  assert.deepEqual(await stuck(), [inCache]);
  await writeFile(here.log, "2026/01/02 03:04:05 ERROR : IO error: read: i/o timeout\n");
  assert.deepEqual(await stuck(), []);
});

for (const { what, shareName } of [
  { what: "handed over", shareName: SHARE.shareName },
  { what: "renamed with their share", shareName: SHARE.shareName.toLowerCase() },
]) {
  test(`A11 files that were ${what} are reviewed, although nothing had touched the cache before`, async (t) => {
    const { care, caches, away, here } = await scene(t);
    const place = { shareName: SHARE.name, files: here };
    await care.review(place);
    care.neverMounted(place);
    if (shareName === SHARE.shareName) {
      await write(away, "file");
      await caches.sendHere(AWAY, here);
    } else await write(here, "file");
    await caches.prepare({ ...SHARE, shareName }, here);
    await care.review(place);
    const path = join(here.cache, "vfsMeta", REMOTE_NAME, shareName, "file");
    const note = await readFile(path, "utf8").catch(() => "set aside");
    assert.notEqual(note, JSON.stringify({ Dirty: true, Size: 0, Rs: [] }));
  });
}

test("A13 unsent files of a server that is gone for good can be set aside, even after the machine restarts", async (t) => {
  const { away, stateFolder, clock } = await scene(t);
  await write(away, "file");
  const identity = { pid: process.pid, startTime: "of another process" };
  const note = { ...identity, mountPath: SHARE.mountPath, carriedPort: null, pinned: false, server: AWAY };
  await writeFile(away.process, JSON.stringify(note));
  const driver = createRcloneDriver({
    ...{ clock, logger: noopLogger, stateFolder, addressesOf: () => [] },
    mountTable: { read: async () => [] },
    // Asked for nothing here.
    prober: {} as Prober,
  });
  assert.deepEqual(
    (await driver.unsentForOthers?.(SHARE, true))?.map(({ server, inUse }) => [server, inUse]),
    [[AWAY, false]],
  );
  // So the next mount waits for a proof of who is there.
  assert.deepEqual(
    (await driver.unsentForOthers?.(SHARE))?.map(({ server }) => server),
    [AWAY],
  );
  await driver.decideWaiting?.(SHARE, AWAY, "set_aside");
  const aside = join(away.setAside, REMOTE_NAME, SHARE.shareName, "file");
  assert.equal(await readFile(aside, "utf8"), "written");
});

const BASE = 300_000;
const MODIFIED = "2026-11-20T23:13:08.05224745Z";

/** As rclone 1.60 writes it. */
function noteText(size: number, ranges: readonly (readonly [number, number])[], base: number | null): string {
  return JSON.stringify({
    ModTime: MODIFIED,
    ATime: MODIFIED,
    Size: size,
    Rs: ranges.length === 0 ? null : ranges.map(([Pos, Size]) => ({ Pos, Size })),
    Fingerprint: base === null ? "" : `${base},2026-11-20 23:13:07.8675076 +0000 UTC`,
    Dirty: true,
  });
}

function noteOf(...given: Parameters<typeof noteText>): CacheMetadata {
  return parseCacheMetadata(noteText(...given)) ?? assert.fail("not a note");
}

function fileOf(size: number, data: readonly (readonly [number, number])[]): CacheFile {
  return {
    size,
    mtimeNs: BigInt(Date.parse(MODIFIED)) * 1_000_000n,
    data: data.map(([start, end]) => ({ start, end })),
    blockBytes: 4096,
  };
}

/** As the engine writes it: each range that a program wrote later is a line below. */
function exactNote(size: number, lines: string, base: number | null): CacheMetadata {
  const members = { ...JSON.parse(noteText(size, [[0, 4096]], base)), Exact: true };
  return parseCacheMetadata(`${JSON.stringify(members, null, "\t")}\n${lines}`) ?? assert.fail("not a note");
}

const ALL_ZERO = async (): Promise<boolean> => true;
const NO_ZERO = async (): Promise<boolean> => false;

const HEAD = noteOf(BASE, [[0, 4096]], BASE);
const PIECE = noteOf(BASE, [[5000, 10]], BASE);
const SECOND_BLOCK = fileOf(BASE, [[4096, 8192]]);

type Zeros = (range: ByteRange) => Promise<boolean>;
/** `ranges`: as start and length. */
type Judged = readonly [verdict: string, ranges?: readonly (readonly [number, number])[], isZero?: Zeros];

const cases: readonly (readonly [title: string, note: CacheMetadata, file: CacheFile, judged: Judged])[] = [
  ["a whole note stays as it is", HEAD, fileOf(BASE, [[0, 4096]]), ["whole"]],
  [
    "an append beyond the server's end is listed whole, whatever the note knew of it",
    noteOf(BASE, [[BASE, 1000]], BASE),
    fileOf(BASE + 9000, [[299_008, BASE + 9000]]),
    ["corrected", [[BASE, 9000]]],
  ],
  [
    "data in a block that no range touches was written after the note",
    HEAD,
    fileOf(BASE, [
      [0, 4096],
      [65_536, 69_632],
    ]),
    ["unlisted"],
  ],
  ["a block of zeros that no range touches was written, too", HEAD, fileOf(BASE, [[0, 8192]]), ["unlisted"]],
  ["zeros in what is left of a listed block are padding", PIECE, SECOND_BLOCK, ["whole"]],
  [
    "anything else in what is left of a listed block was written after the note",
    PIECE,
    SECOND_BLOCK,
    ["unlisted", [], NO_ZERO],
  ],
  [
    "a new file is all its own",
    noteOf(0, [], null),
    fileOf(10_000, [[4096, 8192]]),
    ["corrected", [[0, 10_000]]],
  ],
  [
    "a file that was emptied and written anew is all its own",
    noteOf(0, [], BASE),
    fileOf(7, [[0, 7]]),
    ["corrected", [[0, 7]]],
  ],
  [
    "one that was made shorter, and needs the server's bytes, rclone would make longer again",
    noteOf(BASE, [[0, 10]], BASE),
    fileOf(1000, [[0, 1000]]),
    ["truncated"],
  ],
  [
    "what the engine's note does not list came from the server, even in a file that was made shorter",
    exactNote(BASE, "", BASE),
    fileOf(100_000, [[0, 65_536]]),
    ["corrected", [[0, 4096]], NO_ZERO],
  ],
  [
    "the lines below the engine's note are taken into it, but for a torn one",
    exactNote(BASE, '{"Pos":8192,"Size":10}\n{"Pos":9000,"Size":10}\n{"Pos":12', BASE),
    fileOf(BASE, [[0, 65_536]]),
    [
      "corrected",
      [
        [0, 4096],
        [8192, 10],
        [9000, 10],
      ],
      NO_ZERO,
    ],
  ],
  [
    "ranges beyond the end are cut",
    noteOf(BASE, [[0, BASE]], BASE),
    fileOf(1000, [[0, 1000]]),
    ["corrected", [[0, 1000]]],
  ],
];
for (const [title, note, file, [verdict, ranges, isZero = ALL_ZERO]] of cases) {
  test(`A11 ${title}`, async () => {
    const judged = await judgeMetadata(note, file, isZero);
    if (judged.state !== "resumable") return assert.equal(judged.state, verdict);
    if (judged.corrected === null) return assert.equal("whole", verdict);
    assert.equal("corrected", verdict);
    const corrected = JSON.parse(judged.corrected);
    assert.deepEqual(
      corrected.Rs,
      ranges?.map(([Pos, Size]) => ({ Pos, Size })),
    );
    assert.equal(corrected.Size, file.size);
    assert.deepEqual([corrected.Dirty, corrected.Fingerprint], [true, note.members["Fingerprint"]]);
    const again = parseCacheMetadata(judged.corrected) ?? assert.fail();
    assert.deepEqual(await judgeMetadata(again, file, isZero), { state: "resumable", corrected: null });
  });
}

test("A11 text torn by a crash, or not metadata at all, is rejected as metadata", () => {
  for (const text of [
    "",
    '{"Size": 3, "Rs"',
    "[]",
    "{}",
    '{"Size": -1}',
    '{"Size": 1, "Rs": [{"Pos": 0}]}',
    '{\n\t"Size": 1\n}\n{"Pos": 0}\n',
  ]) {
    assert.equal(parseCacheMetadata(text), null, text);
  }
});

test("A11 zeros between writes are the server's where programs write anywhere, and kept where they write aligned", async () => {
  const file = fileOf(BASE, [[8192, 12_288]]);
  const run = { start: 8192, end: 9000 };
  const looks = {
    isZero: NO_ZERO,
    zeroRuns: async (_range: ByteRange, isWanted: (one: ByteRange) => boolean) =>
      [run, { start: 9500, end: 9503 }].filter(isWanted),
  };
  const anywhere = await realBytes(noteOf(BASE, [[5000, 10]], BASE), file, looks);
  assert.deepEqual(anywhere.doubtful, [run]);
  assert.ok(!anywhere.real.some(({ start }) => start === 8192));
  // What is listed may have been fetched only: no database has such a size.
  assert.deepEqual((await realBytes(noteOf(BASE, [[0, 4096]], BASE), file, looks)).doubtful, [run]);
  const size = 586 * 512;
  const database = fileOf(size, [[8192, 12_288]]);
  assert.deepEqual(await realBytes(noteOf(size, [[0, 4096]], size), database, looks), {
    real: [
      { start: 0, end: 4096 },
      { start: 8192, end: 12_288 },
    ],
    doubtful: [],
  });
});

test("A11 times keep their nanoseconds", () => {
  assert.equal(rfc3339(1_795_216_388_052_238_096n), "2026-11-20T23:13:08.052238096Z");
  assert.equal(rfc3339(-1n), "1969-12-31T23:59:59.999999999Z");
});

test("A11 ranges are merged and subtracted from each other", () => {
  const joined = union([
    { start: 10, end: 20 },
    { start: 0, end: 5 },
    { start: 5, end: 7 },
    { start: 15, end: 30 },
    { start: 3, end: 3 },
  ]);
  assert.deepEqual(joined, [
    { start: 0, end: 7 },
    { start: 10, end: 30 },
  ]);
  assert.deepEqual(subtract({ start: 2, end: 40 }, joined), [
    { start: 7, end: 10 },
    { start: 30, end: 40 },
  ]);
});
