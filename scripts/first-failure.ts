// A reporter for node:test: says each event's file on stdout, and ends the process at the first test that fails.
// Synchronous, as nothing is written after the end. `+ FILE`: something passed; `- FILE: TITLE`: that failed.
import { writeSync } from "node:fs";
import type { TestEvent } from "node:test/reporters";

// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from a module's default export only.
export default async function* firstFailure(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type === "test:pass") writeSync(1, `+ ${data.file}\n`);
    if (type !== "test:fail" || data.todo !== undefined) continue;
    writeSync(1, `- ${data.file}: ${data.name}\n`);
    process.exit(1);
  }
  yield "";
}
