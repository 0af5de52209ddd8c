// Looks a mount up in /proc/self/mountinfo, by its id and its path, because ids are reused.
import { readFile } from "node:fs/promises";
import type { CarriedMount } from "../carrier.ts";

export async function isMountedLinux(mount: CarriedMount): Promise<boolean> {
  return hasMount(await readFile("/proc/self/mountinfo", "utf8"), mount);
}

/** An id begins with the kernel's own, and may go on with `:MAJOR:MINOR`; the rest matters only to the daemon. */
const ID = /^(\d+)(?::(\d+:\d+))?/u;

/** Blanks, newlines and backslashes in a path are octal there: `\040`. */
export function hasMount(table: string, { id, path }: Pick<CarriedMount, "id" | "path">): boolean {
  const [, mountId, device] = ID.exec(id) ?? [];
  const written = path.replace(
    /[ \t\n\\#]/gu,
    (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return table.split("\n").some((line) => {
    const fields = line.split(" ");
    const isIt = fields[0] === mountId && (device === undefined || fields[2] === device);
    return isIt && (fields[4] === path || fields[4] === written);
  });
}
