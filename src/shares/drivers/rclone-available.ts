// Owns telling what the machine lacks for mounting with rclone.
import { access, constants } from "node:fs/promises";
import { delimiter } from "node:path";
import { runCommand } from "../../runtime/child-process.ts";
import type { Clock } from "../../runtime/clock.ts";
import { findProgram } from "../../runtime/find-program.ts";

export interface Lacking {
  readonly text: string;
  readonly hint: string;
}

/** The first with an SMB backend. */
const OLDEST = { major: 1, minor: 60 };
const VERSION_DEADLINE_MS = 5_000;

/** Gives a check that asks again until nothing is lacking, and then no more. */
export function createRcloneCheck(clock: Clock): () => Promise<Lacking | null> {
  let complete = false;
  return async () => {
    if (complete) return null;
    const lacking = await check(clock);
    complete = lacking === null;
    return lacking;
  };
}

async function check(clock: Clock): Promise<Lacking | null> {
  if (!(await isOnPath("rclone"))) {
    return { text: "rclone is not installed", hint: "install rclone 1.60 or newer (apt install rclone)" };
  }
  if (!(await isOnPath("fusermount3"))) {
    return { text: "fusermount3 is not installed", hint: "install FUSE 3 (apt install fuse3)" };
  }
  if (!(await canOpen("/dev/fuse"))) {
    return {
      text: "/dev/fuse cannot be opened",
      hint: "load the fuse module, or give the container the device /dev/fuse and the right to mount",
    };
  }
  const { stdout } = await runCommand("rclone", ["version"], { clock, deadlineMs: VERSION_DEADLINE_MS });
  const version = /^rclone v(\d+)\.(\d+)/.exec(stdout);
  const [major, minor] = [Number(version?.[1]), Number(version?.[2])];
  const tooOld = major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor);
  // A version that cannot be read is given the benefit of the doubt.
  if (!tooOld) return null;
  return { text: `rclone ${major}.${minor} cannot speak SMB`, hint: "install rclone 1.60 or newer" };
}

async function isOnPath(program: string): Promise<boolean> {
  return (await findProgram(program, (process.env["PATH"] ?? "").split(delimiter))) !== null;
}

async function canOpen(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
