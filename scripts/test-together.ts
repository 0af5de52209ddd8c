// Runs several test files in this process, each as a suite of its own, so that hooks and titles stay apart.
// Usage: node scripts/test-together.ts [--for MS] FILE…: after so long it begins no further file.
import { after, describe } from "node:test";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { for: { type: "string" } } });

for (const [index, file] of positionals.entries()) {
  if (index > 0 && values.for !== undefined && performance.now() > Number(values.for)) break;
  const loaded = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  describe(file, async () => {
    after(() => over.resolve());
    try {
      await import(pathToFileURL(file).href);
    } catch (error) {
      over.resolve();
      throw error;
    } finally {
      loaded.resolve();
    }
  });
  // One after the other: which suite a test belongs to is known from what loads it.
  await loaded.promise;
  if (values.for !== undefined) await over.promise;
}
