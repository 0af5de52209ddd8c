// The command `mountaineer config schema`.
import type { CommandDefinition } from "../../input/command.ts";

export const configSchemaCommand: CommandDefinition = {
  name: "config schema",
  summary: "print the JSON Schema of the configuration file",
  description:
    "For editors that complete and check while one types; the starter configuration names it already.",
  examples: [
    { command: "mountaineer config schema > config.schema.json", does: "keep it beside a configuration" },
  ],
  exits: {},
  addOptions() {},
  async run(context) {
    const { configJsonSchema } = await import("../../../config/schema/json-schema.ts");
    context.print(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return 0;
  },
};
