// Runs several test files in this process, each as a suite of its own, so that hooks and titles stay apart.
// Usage: node scripts/test-together.ts FILE…
import { describe } from "node:test";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) {
  const loaded = Promise.withResolvers<void>();
  describe(file, async () => {
    try {
      await import(pathToFileURL(file).href);
    } finally {
      loaded.resolve();
    }
  });
  // One after the other: which suite a test belongs to is known from what loads it.
  await loaded.promise;
}
