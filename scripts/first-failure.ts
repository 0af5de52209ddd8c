// A reporter for node:test: prints each event's file on stdout, and ends the process at the first failed test.
// Writes synchronously, because nothing is written after the exit. `+ FILE`: a test passed; `- FILE: TITLE`: a test failed.
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
