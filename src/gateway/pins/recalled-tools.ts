// The tools of a backend as they were approved, from what is remembered of them: for who asks before it has listed any.
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { Pinned } from "./pin-book.ts";
import { isSkillPin } from "./pinned-entry.ts";

// What is remembered is replaced, never changed.
const recalled = new WeakMap<ReadonlyMap<string, Pinned>, readonly JsonObject[]>();

/** Those that were listed last, and of which the whole text is kept. */
export function recalledTools(pinned: ReadonlyMap<string, Pinned>): readonly JsonObject[] {
  const known = recalled.get(pinned);
  if (known !== undefined) return known;
  const tools = [...pinned].flatMap(([name, { approved, text, isListed }]) => {
    if (!isListed || approved.length === 0 || text === null) return [];
    const tool: unknown = parseExactly(text);
    return isJsonObject(tool) && tool["name"] === name && !isSkillPin(tool) ? [tool] : [];
  });
  recalled.set(pinned, tools);
  return tools;
}
