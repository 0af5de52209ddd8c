import assert from "node:assert/strict";
import test from "node:test";
import {
  type ByteRange,
  type CacheFile,
  type CacheNote,
  judgeNote,
  parseCacheNote,
  realBytes,
  rfc3339,
  subtract,
  union,
} from "../../../../src/shares/drivers/rclone/notes.ts";

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

function noteOf(...given: Parameters<typeof noteText>): CacheNote {
  return parseCacheNote(noteText(...given)) ?? assert.fail("not a note");
}

function fileOf(size: number, data: readonly (readonly [number, number])[]): CacheFile {
  return {
    size,
    mtimeNs: BigInt(Date.parse(MODIFIED)) * 1_000_000n,
    data: data.map(([start, end]) => ({ start, end })),
    blockBytes: 4096,
  };
}

const ALL_ZERO = async (): Promise<boolean> => true;
const NO_ZERO = async (): Promise<boolean> => false;

const cases: readonly {
  readonly title: string;
  readonly note: CacheNote;
  readonly file: CacheFile;
  readonly isZero?: (range: ByteRange) => Promise<boolean>;
  readonly verdict: string;
  /** As start and length. */
  readonly ranges?: readonly (readonly [number, number])[];
}[] = [
  {
    title: "a whole note stays as it is",
    note: noteOf(BASE, [[0, 4096]], BASE),
    file: fileOf(BASE, [[0, 4096]]),
    verdict: "whole",
  },
  {
    title: "an append beyond the server's end is listed whole, whatever the note knew of it",
    note: noteOf(BASE, [[BASE, 1000]], BASE),
    file: fileOf(BASE + 9000, [[299_008, BASE + 9000]]),
    verdict: "corrected",
    ranges: [[BASE, 9000]],
  },
  {
    title: "data in a block that no range touches was written after the note",
    note: noteOf(BASE, [[0, 4096]], BASE),
    file: fileOf(BASE, [
      [0, 4096],
      [65_536, 69_632],
    ]),
    verdict: "unlisted",
  },
  {
    title: "a block of zeros that no range touches was written, too",
    note: noteOf(BASE, [[0, 4096]], BASE),
    file: fileOf(BASE, [[0, 8192]]),
    isZero: ALL_ZERO,
    verdict: "unlisted",
  },
  {
    title: "zeros in what is left of a listed block are padding",
    note: noteOf(BASE, [[5000, 10]], BASE),
    file: fileOf(BASE, [[4096, 8192]]),
    isZero: ALL_ZERO,
    verdict: "whole",
  },
  {
    title: "anything else in what is left of a listed block was written after the note",
    note: noteOf(BASE, [[5000, 10]], BASE),
    file: fileOf(BASE, [[4096, 8192]]),
    isZero: NO_ZERO,
    verdict: "unlisted",
  },
  {
    title: "a new file is all its own",
    note: noteOf(0, [], null),
    file: fileOf(10_000, [[4096, 8192]]),
    verdict: "corrected",
    ranges: [[0, 10_000]],
  },
  {
    title: "a file that was emptied and written anew is all its own",
    note: noteOf(0, [], BASE),
    file: fileOf(7, [[0, 7]]),
    verdict: "corrected",
    ranges: [[0, 7]],
  },
  {
    title: "one that was made shorter, and needs the server's bytes, rclone would make longer again",
    note: noteOf(BASE, [[0, 10]], BASE),
    file: fileOf(1000, [[0, 1000]]),
    isZero: ALL_ZERO,
    verdict: "truncated",
  },
  {
    title: "ranges beyond the end are cut",
    note: noteOf(BASE, [[0, BASE]], BASE),
    file: fileOf(1000, [[0, 1000]]),
    verdict: "corrected",
    ranges: [[0, 1000]],
  },
];

for (const { title, note, file, isZero = ALL_ZERO, verdict, ranges } of cases) {
  test(`A11 ${title}`, async () => {
    const judged = await judgeNote(note, file, isZero);
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
    const again = parseCacheNote(judged.corrected) ?? assert.fail();
    assert.deepEqual(await judgeNote(again, file, isZero), { state: "resumable", corrected: null });
  });
}

test("A11 what a crash tore is no note, nor what is not one", () => {
  for (const text of [
    "",
    '{"Size": 3, "Rs"',
    "[]",
    "{}",
    '{"Size": -1}',
    '{"Size": 1, "Rs": [{"Pos": 0}]}',
  ]) {
    assert.equal(parseCacheNote(text), null, text);
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

test("A11 ranges are joined and taken from each other", () => {
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
