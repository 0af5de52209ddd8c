// Two programs at work on the share, as people have them: one copies a large file, one appends to a log that is there.
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";

export type WorkAtShare = Awaited<ReturnType<typeof startWork>>;

/** What the programs work on: files that are on the server before they begin. */
export interface WorkMaterial {
  /** SHA-256 of what is copied. */
  readonly digest: string;
}

/** A program that copies a large file off the share, slowly, over and over. */
export type CopyAtShare = Awaited<ReturnType<typeof startCopy>>;

interface WorkOptions {
  readonly material: WorkMaterial;
  /** The share's folder on the server's own disk. */
  readonly serverFolder: string;
  /** The path that never changes. */
  readonly shareFolder: string;
  /** A folder on this machine. */
  readonly workFolder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly onStart: (identity: ProcessIdentity) => void;
}

const FILM = "film.bin";
const COPY = "film-copy.bin";
const LOG = "work.log";
/** Much more than rclone reads ahead (16 MiB), so that both routes have to deliver some of it. */
export const FILM_MIB = 64;
const MIB = 1024 * 1024;
const FIRST_LINE = "this line was there before\n";
const FINISHES_WITHIN_MS = 60_000;
const COMPLAINT_AT_MOST = 500;

/** `$1` is copied to `$2`, slowly while `$3` is there. Both stay open all the time; a dot for each piece. */
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
/** While `$3` is there `$1` is copied to `$2`, then again; a dot for each quarter of a MiB. */
const COPY_AGAIN_SCRIPT = `set -e
# What came to the server a moment ago may not be seen yet.
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

/** Appends to `$1`, which stays open, while `$2` is there; a dot for each line that was taken. */
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

/** Makes it on the server's own disk. A share that is mounted may take a second to show it. */
export async function makeMaterial(serverFolder: string): Promise<WorkMaterial> {
  await writeFile(join(serverFolder, LOG), FIRST_LINE);
  return { digest: await makeFilm(join(serverFolder, FILM)) };
}

/** Resolves when both programs run. They are ended with the stage, whatever becomes of them. */
export async function startWork(options: WorkOptions) {
  const { material, serverFolder, shareFolder, workFolder } = options;
  const atWork = join(workFolder, "at-work");
  await writeFile(atWork, "");
  const [copier, appender] = await Promise.all([
    startProgram("copy", COPY_SCRIPT, [join(shareFolder, FILM), join(shareFolder, COPY), atWork], options),
    startProgram("append", APPEND_SCRIPT, [join(shareFolder, LOG), atWork], options),
  ]);
  const programs = [copier, appender];
  let finishing = false;
  return {
    /** How many pieces were copied, and how many lines `write` has taken, so far. */
    progress: (): { readonly pieces: number; readonly lines: number } => ({
      pieces: copier.dots(),
      lines: appender.dots(),
    }),
    /** What a program printed about an error; null: none has ended or printed one. */
    complaint(): string | null {
      const complaints = programs.flatMap((program) => program.complaint(finishing) ?? []);
      return complaints.length === 0 ? null : complaints.join("; ");
    },
    /** The copy is made to its end, and no more lines are written. Resolves when both have ended; `timed_out`. */
    async finish(): Promise<void> {
      finishing = true;
      await rm(atWork, { force: true });
      const ended = Promise.all(programs.map((program) => program.ended));
      if (await settledWithin(systemClock, FINISHES_WITHIN_MS, ended)) return;
      throw new MountaineerError("timed_out", "the programs at work on the share did not finish");
    },
    /** What the server's own disk lacks of what the programs wrote; null: nothing. */
    async missingOnServer(): Promise<string | null> {
      const log = await readFile(join(serverFolder, LOG), "utf8");
      if (log !== expectedLog(appender.dots())) {
        return `the log has ${log.split("\n").length - 2} of ${appender.dots()} lines, or others`;
      }
      const copied = await digestOf(join(serverFolder, COPY));
      if (copied === null) return "there is no whole copy";
      return copied === material.digest ? null : "the copy is not what was copied";
    },
  };
}

/** Resolves when it runs. It is ended with the stage, if not before. */
export async function startCopy(options: Omit<WorkOptions, "material">) {
  const { serverFolder, shareFolder, workFolder } = options;
  const atCopy = join(workFolder, "at-copy");
  await writeFile(atCopy, "");
  // All of it is a hole: it costs the disk nothing.
  await using film = await open(join(serverFolder, FILM), "w");
  await film.truncate(COPY_PIECES * (MIB / 4));
  const args = [join(shareFolder, FILM), join(workFolder, COPY), atCopy];
  const program = await startProgram("copy", COPY_AGAIN_SCRIPT, args, options);
  let stopping = false;
  return {
    /** How much of its present copy it has, from 0 to 1. */
    progress: (): number => (program.dots() % COPY_PIECES) / COPY_PIECES,
    /** What it said of an error; null: nothing, and it goes on. */
    complaint: (): string | null => program.complaint(stopping),
    /** Resolves when it has ended, and has no file of the share open. */
    async stop(): Promise<void> {
      stopping = true;
      await rm(atCopy, { force: true });
      if (await settledWithin(systemClock, FINISHES_WITHIN_MS, program.ended)) return;
      throw new MountaineerError("timed_out", "the copy did not end");
    },
  };
}

async function startProgram(
  name: string,
  script: string,
  args: readonly string[],
  { environment, onStart }: Pick<WorkOptions, "environment" | "onStart">,
) {
  const child = spawn("sh", ["-c", script, name, ...args], {
    cwd: "/",
    detached: true,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let dots = 0;
  let said = "";
  let end: string | null = null;
  child.stdout.on("data", (chunk: Buffer) => {
    dots += chunk.length;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-COMPLAINT_AT_MOST);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      end = error.message;
      resolve();
    });
    child.once("close", (code, signal) => {
      end ??= code === 0 ? "" : `it ended with ${code ?? signal}`;
      resolve();
    });
  });
  const identity = child.pid === undefined ? null : await processIdentity(child.pid);
  if (identity !== null) onStart(identity);
  return {
    ended,
    dots: (): number => dots,
    /** `mayEnd`: a program that has ended with 0 is no complaint. */
    complaint(mayEnd: boolean): string | null {
      const complaints = [said.trim(), end === "" && !mayEnd ? "it ended too soon" : (end ?? "")];
      const told = complaints.filter((text) => text !== "");
      return told.length === 0 ? null : `${name}: ${told.join(", ")}`;
    },
  };
}

function expectedLog(lines: number): string {
  return FIRST_LINE + Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join("");
}

/** No two pieces of it are alike. Resolves with its SHA-256. */
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

/** null: there is no such file, or not all of it. */
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
