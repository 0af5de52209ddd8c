// Runs several test files in this process, each as a suite of its own, so that hooks and titles stay apart.
// Usage: node scripts/test-together.ts FILE…
import { after, describe } from "node:test";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) {
  const over = Promise.withResolvers<void>();
  describe(file, async () => {
    after(() => over.resolve());
    try {
      await import(pathToFileURL(file).href);
    } catch (error) {
      over.resolve();
      throw error;
    }
  });
  // One after the other: which suite a test belongs to is known from what loads it, and the first may tell all.
  await over.promise;
}
