// The cifs driver carried: what programs notice while the mount moves between routes, or has none.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { errorText } from "../../../src/runtime/errors.ts";
import { type Carrying, startCarrying } from "./carrying.ts";
import { PATIENT_MS } from "./daemon-home.ts";
import * as nas from "./nas.ts";
import { assertLines } from "./per-route.ts";
import { type Program, type ProgramReport, startProgram, told } from "./programs.ts";
import { must, run, type Who } from "./run.ts";
import { chapter, note, type Say } from "./verdicts.ts";

const IDS = [
  "carried.mounted",
  "carried.moves",
  "carried.held",
  "carried.locks",
  "carried.unmounted",
] as const;
const MORE_IDS = ["carried.many", "carried.waiting-pages", "carried.long"] as const;
/** Of a file that is read from the server again and again. */
const READ_BYTES = 16_000_000;
const HELD_MS = 8_000;
const LONG_MS = 75_000;

export function carried(all: boolean, product: boolean): Promise<void> {
  return chapter([...IDS, ...(all ? MORE_IDS : [])], (say) => play(say, all, product));
}

async function play(say: Say, all: boolean, product: boolean): Promise<void> {
  let made: Carrying | null = null;
  await say("carried.mounted", async () => {
    made = await startCarrying({ who: "root", product });
    assert.match(made.words, /\/\/127\.0\.0\.1\/CORE .*[ ,]addr=127\.0\.0\.1.*[ ,]hard/);
    return made.words;
  });
  if (made === null) throw new Error("nothing is mounted");
  await using carrying: Carrying = made;
  await makeReadable();

  await say("carried.moves", () => whileMoving(carrying, { who: "root", moves: 4 }));
  await say("carried.held", () => whileHeld(carrying, HELD_MS, 1));
  await say("carried.locks", () => locks(carrying));
  if (all) {
    await say("carried.many", () => whileMoving(carrying, { who: "root", moves: 20, hasty: true }));
    await say("carried.waiting-pages", () => waitingPages(carrying));
    await say("carried.long", () => whileHeld(carrying, LONG_MS, 2));
  }
  await say("carried.unmounted", async () => {
    await carrying.unmount();
    assert.deepEqual(await nas.cifsMounts(), []);
    return "gone from the mount table";
  });
}

export async function makeReadable(): Promise<void> {
  await must(["bash", "-c", `head -c ${READ_BYTES} /dev/urandom >${nas.exported("CORE", "big.bin")}`]);
}

export interface Moving {
  readonly who: Who;
  readonly moves: number;
  /** Also cuts a route as soon as the other speaks again, before the product can know that route's server. */
  readonly hasty?: boolean;
  /** Programs beside its own. */
  readonly more?: readonly Program[];
}

/** Moves back and forth, planned or with the old route silent. Every program does steps between two moves. */
export async function whileMoving(
  carrying: Carrying,
  { who, moves, hasty = false, more = [] }: Moving,
): Promise<string> {
  const big = [carrying.at("big.bin"), nas.exported("CORE", "big.bin")];
  await must(["mkdir", "-p", carrying.at("inside")], { as: who });
  await must(["rm", "-f", nas.exported("CORE", "log.txt")]);
  await using reader = await startProgram("read", big, who);
  await using writer = await startProgram("append", [carrying.at("log.txt")], who);
  await using inside = await startProgram("cwd", [carrying.at("inside")], who);
  await using mapper = await startProgram("map", [carrying.at("map.bin"), ...big], who);
  const programs = [reader, writer, inside, mapper];
  const stalls = await moveUnder(carrying, [...programs, ...more], moves, hasty);
  const reports = await Promise.all(programs.map((program) => program.end()));
  const [, written, , mapped] = reports;
  const words = programs.map(({ kind }, index) => told(kind, reports[index] ?? NO_REPORT));
  const seen = `${moves} moves, longest until all went on ${Math.max(...stalls)} ms; ${words.join("; ")}`;
  for (const [index, { wrong, errors }] of reports.entries()) {
    const name = programs[index]?.kind;
    assert.deepEqual(wrong, [], `${name} saw wrong bytes; ${seen}`);
    assert.ok(errors.length <= moves, `${name} has more than one error a move; ${seen}`);
  }
  if (written !== undefined) await assertLines(written, nas.exported("CORE", "log.txt"));
  if (mapped !== undefined) await assertPages(mapped, nas.exported("CORE", "map.bin"));
  return seen;
}

const NO_REPORT: ProgramReport = { count: 0, longestMs: 0, errors: [], wrong: [], lines: [], pages: {} };

/** The milliseconds from each move until every program had done a whole step. */
async function moveUnder(
  carrying: Carrying,
  programs: readonly Program[],
  moves: number,
  hasty: boolean,
): Promise<readonly number[]> {
  const stalls: number[] = [];
  for (let move = 0; move < moves; move += 1) {
    const startedAt = performance.now();
    const to = move % 2 === 0 ? "fallback" : "tb";
    const how = move % 4 === 2 || (hasty && move % 4 === 3) ? "cut" : "planned";
    try {
      await carrying.move(to, how);
      await Promise.all(programs.map((program) => program.goesOn(2, PATIENT_MS)));
    } catch (error) {
      note(await carrying.logs());
      note(await nas.clientState());
      throw new Error(`move ${move + 1} (${how}, to ${to}): ${errorText(error)}`, { cause: error });
    }
    stalls.push(Math.round(performance.now() - startedAt));
    note(`move ${move + 1}, ${how}, to ${to}: ${stalls.at(-1)} ms until all went on`);
  }
  await Promise.all([nas.speak("tb"), nas.speak("fallback")]);
  return stalls;
}

async function whileHeld(carrying: Carrying, heldMs: number, errorsAtMost: number): Promise<string> {
  await using reader = await startProgram("read", [carrying.at("big.bin"), nas.exported("CORE", "big.bin")]);
  await using writer = await startProgram("append", [carrying.at("held.txt")]);
  const programs = [reader, writer];
  await carrying.hold();
  await new Promise((resolve) => setTimeout(resolve, heldMs));
  const before = writer.count();
  await carrying.release();
  const startedAt = performance.now();
  await Promise.all(programs.map((program) => program.goesOn(2, PATIENT_MS)));
  const ms = Math.round(performance.now() - startedAt);
  const [read, written] = await Promise.all([reader.end(), writer.end()]);
  const seen = `held ${heldMs} ms, went on ${ms} ms after that, from line ${before} on; ${told("read", read)}; ${told("append", written)}`;
  assert.deepEqual(read.wrong, [], seen);
  assert.ok(read.errors.length <= errorsAtMost && written.errors.length <= errorsAtMost, seen);
  await assertLines(written, nas.exported("CORE", "held.txt"));
  await must(["rm", "-f", nas.exported("CORE", "held.txt")]);
  return seen;
}

/**
 * A lock is the connection's: a move gives it up, and the kernel takes it again when its owner next touches the file. What
 * is promised is what lies around that: it holds before the move, and after the owner's next touch.
 */
async function locks(carrying: Carrying): Promise<string> {
  const other = "/mnt/other";
  await must(["mkdir", "-p", other]);
  await must(
    ["mount.cifs", `//${nas.HOSTS.fallback}/CORE`, other, "-o", "username=ann,soft,cache=none,actimeo=0"],
    {
      env: { PASSWD: nas.PASSWORD },
    },
  );
  const seen: string[] = [];
  try {
    await writeFile(nas.exported("CORE", "locked"), "l".repeat(200));
    for (const kind of ["fcntl", "flock"] as const) {
      await using owner = await startProgram("lock", [carrying.at("locked"), kind]);
      await using rival = await startProgram("lock", [`${other}/locked`, kind]);
      const rivalGets = async (): Promise<boolean> => {
        const refused = await rival.ask("take");
        if (refused === null) await rival.ask("drop");
        return refused === null;
      };
      assert.equal(await owner.ask("take"), null);
      assert.equal(await rivalGets(), false, `${kind}: somebody else has it before any move`);
      const got: string[] = [];
      for (const to of ["fallback", "tb", "fallback"] as const) {
        await carrying.move(to, "planned");
        got.push((await rivalGets()) ? "given up" : "kept");
        const failed = await owner.ask("touch");
        if (failed !== null) assert.equal(await owner.ask("touch"), null, `${kind}: ${failed}, and again`);
        assert.equal(await rivalGets(), false, `${kind}: not taken again when its owner touched the file`);
      }
      seen.push(`${kind}, right after each move: ${got.join(", ")}; after the owner's next touch: held`);
      await Promise.all([owner.end(), rival.end()]);
    }
  } finally {
    await run(["umount", "-l", other]);
  }
  return seen.join("; ");
}

/** What a program may write while there is no route, and what it costs everybody else on the machine. */
async function waitingPages(carrying: Carrying): Promise<string> {
  const megabytes = 64;
  await must(["sync"]);
  await carrying.hold();
  const seen: string[] = [];
  const timed = async (what: string, command: string, deadlineMs: number): Promise<void> => {
    const { ms, timedOut, code } = await run(["bash", "-c", command], { deadlineMs });
    seen.push(
      `${what}: ${timedOut ? `not done after ${ms} ms` : `${ms} ms${code === 0 ? "" : `, code ${code}`}`}`,
    );
  };
  const file = carrying.at("pages.bin");
  // Open before the route went is not what this is about: an open waits, so it is made by who waits.
  await timed("a write without a route", `head -c ${megabytes}M /dev/zero >${file}`, 5_000);
  await timed("a write to the local disk", "head -c 16M /dev/zero >/srv/local.bin", 20_000);
  await timed("fsync of a local file", "sync /srv/local.bin", 20_000);
  await timed("sync of everything", "sync", 5_000);
  await carrying.release();
  await timed("sync of everything with a route", "sync", 60_000);
  return seen.join("; ");
}

async function assertPages({ pages }: ProgramReport, file: string): Promise<void> {
  const bytes = await readFile(file);
  const lost = Object.entries(pages).filter(([page, mark]) => {
    const at = Number(page) * 4096;
    return bytes.subarray(at, at + mark.length).toString("latin1") !== mark;
  });
  assert.deepEqual(lost, [], "pages that msync acknowledged are not on the server");
  assert.ok(Object.keys(pages).length > 0, "no page was flushed");
}
