// The JSON Schema of the configuration file, for completion and checks in editors.
import { configFile } from "./schema.ts";

/** JSON Schema (draft 2020-12) of what people write, with every key's meaning. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  return { $schema, ...configFile.json(), title: "Mountaineer configuration" };
}
