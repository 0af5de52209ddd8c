// The JSON Schema of the configuration file, for completion and checks in editors.
import * as z from "zod";
import { configFileSchema } from "./schema.ts";
import { type KeyDoc, keyDocs } from "./schema-keys.ts";

function description({ meaning, unit, absent }: KeyDoc): string {
  const parts = [meaning];
  if (unit !== null) parts.push(`In ${unit}.`);
  if (absent === null) parts.push("Required.");
  else parts.push(absent.startsWith("required") ? `${absent.replace("r", "R")}.` : `Default: ${absent}.`);
  return parts.join(" ");
}

/** JSON Schema (draft 2020-12) of what people write, with every key's meaning. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(configFileSchema, {
    io: "input",
    override({ zodSchema, jsonSchema }) {
      const doc = keyDocs.get(zodSchema);
      if (doc !== undefined) jsonSchema.description = description(doc);
    },
  });
  return { ...schema, title: "Mountaineer configuration" };
}
