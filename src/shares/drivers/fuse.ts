// What this machine lacks for mounting through FUSE.
import { access, constants, readFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { errorText, isSystemError, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { findProgram, isProgram } from "../../runtime/process/find-program.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ShareSpec } from "../share-spec.ts";
import type { MissingRequirement } from "./mount-driver.ts";

/** How long a found program's path is used again, ms. After that, PATH is searched again. */
const RECHECK_AFTER_MS = 60_000;

/** Cheap enough for every cycle of a share. */
export function createFuseCheck(clock: Clock) {
  const find = createFinder(clock);
  return {
    async missingRequirement(): Promise<MissingRequirement | null> {
      if ((await find("fusermount3")) !== null) return whyClosed("/dev/fuse");
      const hint = "install FUSE 3 (apt install fuse3)";
      return { text: "fusermount3 is not installed", hint };
    },
  };
}

/**
 * Looks first where the program was found before: PATH may have many folders, and this runs in each cycle of a share.
 */
function createFinder(clock: Clock): (program: string) => Promise<string | null> {
  const found = new Map<string, { readonly file: string; readonly path: string; readonly atMs: number }>();
  return async (program) => {
    const path = process.env["PATH"] ?? "";
    const known = found.get(program);
    const isFresh = known?.path === path && clock.monotonicMs() - known.atMs < RECHECK_AFTER_MS;
    if (isFresh && (await isProgram(known.file))) return known.file;
    const file = await findProgram(program, path.split(delimiter));
    if (file === null) found.delete(program);
    else found.set(program, { file, path, atMs: clock.monotonicMs() });
    return file;
  };
}

const FUSE_CONF = "/etc/fuse.conf";

/** Why FUSE refuses `allow_other` to this user; null: it allows it, or the share does not ask for it. */
export async function whyNotForOthers(
  { allowOther }: Partial<Pick<ShareSpec, "allowOther">>,
  userId = process.getuid?.(),
  path = FUSE_CONF,
): Promise<MissingRequirement | null> {
  if (allowOther !== true || userId === 0) return null;
  const text = await readFile(path, "utf8").catch(recoverFrom(isSystemError, ""));
  if (/^[ \t]*user_allow_other[ \t]*$/m.test(text)) return null;
  return {
    text: `FUSE refuses allow_other to this user: ${path} lacks the line user_allow_other`,
    hint: `echo user_allow_other | sudo tee -a ${path}`,
  };
}

/** Why this user cannot open the device; null: the device exists, and the user can open it. */
export async function whyClosed(device: string): Promise<MissingRequirement | null> {
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EACCES" || code === "EPERM") {
      const text = `${device} is there, but this user may not open it (${code})`;
      const hint = `allow it: it is usually open to all (chmod 666), or to a group: ${shellCommand`ls -l ${device}`}`;
      return { text, hint };
    }
    const hint = `load the fuse module, or give the container the device ${device} and the right to mount`;
    return { text: `${device} cannot be opened (${code ?? errorText(error)})`, hint };
  }
}
