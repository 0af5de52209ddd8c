// Names of tools that every client can use. The specification allows letters, digits, "_", "-" and "." (2025-11-25,
// "Tools", tool names); clients put a prefix before it and allow 64 characters in all.
import { sha256Of } from "../../runtime/files/sha256.ts";

const ODD = /[^A-Za-z0-9_.-]/gu;
/** Among 1,000 cut names, two are the same in one of 8,600 gateways; the second is then told as a collision. */
const HASH_CHARACTERS = 8;

/**
 * The name itself where that is usable; else what is left of it, cut, with a hash of the whole name. It depends on no other
 * tool, so it stays when others come and go. `longest`: at least 24.
 */
export function usableName(name: string, longest: number): string {
  const plain = name.replace(ODD, "_");
  if (plain === name && name.length <= longest && name !== "") return name;
  return `${plain.slice(0, longest - HASH_CHARACTERS - 1)}_${sha256Of(name).slice(0, HASH_CHARACTERS)}`;
}
