// Schemas without their texts. The other members decide which arguments are valid.
import { isJsonObject } from "../json-rpc.ts";

const MOST_LEVELS = 20;

export function withoutTexts(schema: unknown, levels = MOST_LEVELS): unknown {
  if (levels === 0) return {};
  if (Array.isArray(schema)) return schema.map((part) => withoutTexts(part, levels - 1));
  if (!isJsonObject(schema)) return schema;
  const kept = Object.entries(schema).flatMap(([key, part]) => {
    const isText =
      typeof part === "string" && (key === "description" || key === "title" || key === "$comment");
    return isText || (key === "examples" && Array.isArray(part))
      ? []
      : [[key, withoutTexts(part, levels - 1)] as const];
  });
  return Object.fromEntries(kept);
}
