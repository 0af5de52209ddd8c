// What stands in a client's file when it uses Mountaineer.
import { basename } from "node:path";
import type { ConfigTable } from "../../config/edit/edit-value.ts";

/** An entry that starts this program for a client, however it came there. Pure. */
export function isOwnEntry({ command, args }: ConfigTable): boolean {
  if (typeof command !== "string") return false;
  const words = [basename(command), ...(Array.isArray(args) ? args.map(String) : [])];
  const at = words.findIndex((word) => /^mountaineerd?(?:@[\w.-]+)?$/.test(basename(word)));
  return at !== -1 && words[at + 1] === "mcp";
}
