// Shell programs that use the share: one copies a large file, one appends to an existing log.
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { settlesWithin, systemClock } from "../../runtime/time/clock.ts";
import { type ProgramOptions, startProgram } from "./program.ts";

export type WorkAtShare = Awaited<ReturnType<typeof startWork>>;

/** Files that are on the server before the programs begin. */
export type WorkMaterial = Awaited<ReturnType<typeof makeMaterial>>;

export type CopyAtShare = Awaited<ReturnType<typeof startCopy>>;

interface WorkOptions extends ProgramOptions {
  readonly material: WorkMaterial;
  /** The share's folder on the server's own disk. */
  readonly serverFolder: string;
  /** The share's stable path. */
  readonly shareFolder: string;
  readonly workFolder: string;
}

const FILM = "film.bin";
const COPY = "film-copy.bin";
/** Read at full speed once; as long as the film, and no part of it is in any cache of the mount. */
const MEASURED = "measured.bin";
const LOG = "work.log";
/**
 * The size of the copied file: much more than mountaineer-fs reads ahead, so that a switch during the copy makes each
 * route deliver a part of the file.
 */
export const FILM_MIB = 64;
const MIB = 1024 * 1024;
const FIRST_LINE = "this line was there before\n";
const FINISHES_WITHIN_MS = 60_000;

/** Copies `$1` to `$2`, slowly while `$3` exists. Both files stay open. Prints a dot for each piece. */
const COPY_SCRIPT = `set -e
exec 3<"$1" 4>"$2"
while [ -e "$3" ]; do
  dd bs=262144 count=1 iflag=fullblock status=none <&3 >&4
  printf .
  sleep 0.05
done
cat <&3 >&4
`;

const COPY_PIECES = 512;
/** Copies `$1` to `$2` again and again while `$3` exists. Prints a dot for each quarter of a MiB. */
const COPY_AGAIN_SCRIPT = `set -e
# The mount may show a new file of the server only after a moment.
until [ -e "$1" ] || [ ! -e "$3" ]; do sleep 0.1; done
while [ -e "$3" ]; do
  exec 3<"$1" 4>"$2"
  piece=0
  while [ -e "$3" ] && [ "$piece" -lt ${COPY_PIECES} ]; do
    dd bs=262144 count=1 iflag=fullblock status=none <&3 >&4
    printf .
    piece=$((piece + 1))
    sleep 0.1
  done
done
`;

/** Appends lines to `$1`, which stays open, while `$2` exists. Prints a dot for each line written. */
const APPEND_SCRIPT = `set -e
exec 4>>"$1"
line=0
while [ -e "$2" ]; do
  line=$((line + 1))
  echo "line $line" >&4
  printf .
  sleep 0.05
done
`;

/** Writes the material on the server's own disk. A mounted share may take a second to show it. */
export async function makeMaterial(serverFolder: string) {
  await writeFile(join(serverFolder, LOG), FIRST_LINE);
  await makeFilm(join(serverFolder, MEASURED));
  return {
    /** SHA-256 of the file to copy, hexadecimal. */
    digest: await makeFilm(join(serverFolder, FILM)),
  };
}

/** Reads a file of `FILM_MIB` through the mount, in a child process. Resolves with the milliseconds that it took. */
export async function readAtFullSpeed(shareFolder: string, signal: AbortSignal): Promise<number> {
  const startedAtMs = systemClock.monotonicMs();
  const args = [`if=${join(shareFolder, MEASURED)}`, "of=/dev/null", "bs=1048576"];
  const limits = { deadlineMs: FINISHES_WITHIN_MS, signal };
  const { exitCode, stderr } = await runCommand("dd", args, limits);
  if (exitCode !== 0) throw new MountaineerError("timed_out", `dd failed: ${stderr}`);
  return systemClock.monotonicMs() - startedAtMs;
}

/** Starts a slow copy on the share and a log writer. Resolves when both run. */
export async function startWork(options: WorkOptions) {
  const { material, serverFolder, shareFolder, workFolder } = options;
  const atWork = join(workFolder, "at-work");
  await writeFile(atWork, "");
  const [copier, appender] = await Promise.all([
    startScript("copy", COPY_SCRIPT, [join(shareFolder, FILM), join(shareFolder, COPY), atWork], options),
    startScript("append", APPEND_SCRIPT, [join(shareFolder, LOG), atWork], options),
  ]);
  const programs = [copier, appender];
  let finishing = false;
  return {
    progress: () => ({ pieces: copier.dots(), lines: appender.dots() }),
    /** What went wrong in the two programs: a printed error, or an end too soon. null: nothing. */
    complaint(): string | null {
      const complaints = programs.flatMap((program) => program.complaint(finishing) ?? []);
      return complaints.length === 0 ? null : complaints.join("; ");
    },
    /** Completes the copy and stops the log. Resolves when both programs have ended; rejects with `timed_out`. */
    async finish(): Promise<void> {
      finishing = true;
      await rm(atWork, { force: true });
      await untilEnded(programs);
    },
    /** Which part of the programs' output is not on the server's own disk; null: nothing is missing. */
    async missingOnServer(): Promise<string | null> {
      const log = await readFile(join(serverFolder, LOG), "utf8");
      if (log !== expectedLog(appender.dots())) {
        return `the log has ${log.split("\n").length - 2} of ${appender.dots()} lines, or other lines`;
      }
      const copied = await digestOf(join(serverFolder, COPY));
      if (copied === null) return "there is no whole copy";
      return copied === material.digest ? null : "the copy differs from the original";
    },
  };
}

/** Starts a program that copies a large file off the share, slowly, again and again. Resolves when it runs. */
export async function startCopy(options: Omit<WorkOptions, "material">) {
  const { serverFolder, shareFolder, workFolder } = options;
  const atCopy = join(workFolder, "at-copy");
  await writeFile(atCopy, "");
  // A sparse file takes no disk space.
  await using film = await open(join(serverFolder, FILM), "w");
  await film.truncate(COPY_PIECES * (MIB / 4));
  const args = [join(shareFolder, FILM), join(workFolder, COPY), atCopy];
  const program = await startScript("copy", COPY_AGAIN_SCRIPT, args, options);
  let stopping = false;
  return {
    /** The finished part of the present copy, from 0 to 1. */
    progress: (): number => (program.dots() % COPY_PIECES) / COPY_PIECES,
    complaint: (): string | null => program.complaint(stopping),
    /** Resolves when the program has ended, with no file of the share open. Rejects with `timed_out`. */
    async stop(): Promise<void> {
      stopping = true;
      await rm(atCopy, { force: true });
      await untilEnded([program]);
    },
  };
}

async function untilEnded(programs: readonly { readonly ended: Promise<void> }[]): Promise<void> {
  const ended = Promise.all(programs.map((program) => program.ended));
  if (await settlesWithin(systemClock, FINISHES_WITHIN_MS, ended)) return;
  throw new MountaineerError("timed_out", "the programs at work on the share did not finish");
}

async function startScript(name: string, script: string, args: readonly string[], options: ProgramOptions) {
  const program = await startProgram("sh", ["-c", script, name, ...args], options);
  let dots = 0;
  program.child.stdout.on("data", (chunk: Buffer) => {
    dots += chunk.length;
  });
  return {
    ended: program.ended,
    dots: (): number => dots,
    /** The program's errors as text; null: none. `mayEnd`: an exit with code 0 is not an error. */
    complaint(mayEnd: boolean): string | null {
      const isEarly = program.hasEnded && !mayEnd;
      const end = program.failure ?? (isEarly ? "it ended too soon" : "");
      const complaints = [program.stderr, end].filter((text) => text !== "");
      return complaints.length === 0 ? null : `${name}: ${complaints.join(", ")}`;
    },
  };
}

function expectedLog(lines: number): string {
  return FIRST_LINE + Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join("");
}

/** Writes a file in which no two pieces are alike. Resolves with its SHA-256. */
async function makeFilm(path: string): Promise<string> {
  const hash = createHash("sha256");
  await using file = await open(path, "w");
  for (let written = 0; written < FILM_MIB; written++) {
    const piece = randomBytes(MIB);
    hash.update(piece);
    await file.write(piece);
  }
  return hash.digest("hex");
}

/** The SHA-256 of a whole film; null if the file is missing or shorter. */
async function digestOf(path: string): Promise<string | null> {
  const hash = createHash("sha256");
  try {
    if ((await stat(path)).size !== FILM_MIB * MIB) return null;
    for await (const piece of createReadStream(path)) hash.update(piece);
    return hash.digest("hex");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}
