// The name of a program in /proc.
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { valueOr } from "../errors.ts";

/**
 * The name of the process whose folder in /proc this is, without its arguments; "" if it has ended. `cmdline` is not read:
 * it is in the process's memory, so that reading it can block.
 */
export function processName(folder: string): string {
  const name = valueOr(() => readFileSync(`${folder}/comm`, "utf8").trimEnd(), "");
  // Programs such as Node 24 and Firefox rename their first thread, which has the process's name.
  if (!/^(?:Main ?Thread|GeckoMain)$/i.test(name)) return name;
  const program = valueOr(() => readlinkSync(`${folder}/exe`), "");
  return basename(program).replace(/ \(deleted\)$/, "") || name;
}
