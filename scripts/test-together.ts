// Runs several test files in this process, each as a suite of its own, so that hooks and titles stay apart.
// Usage: node scripts/test-together.ts [--for MS] [--places FOLDER] FILE…: after so long, or once a test has failed, it begins no
// further file; each file has its own folders below FOLDER.
import { after, afterEach, before, describe } from "node:test";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { ownPlaces } from "./test-places.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { for: { type: "string" }, places: { type: "string" } },
});

const isShort = values.for !== undefined;
let hasFailed = false;
/** No test runs while another file is loaded, which may read its own environment. */
const allLoaded = Promise.withResolvers<void>();
if (isShort) allLoaded.resolve();

for (const [index, file] of positionals.entries()) {
  if (isShort && index > 0 && (hasFailed || performance.now() > Number(values.for))) break;
  const loaded = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const { places } = values;
  const enter = (): void => {
    if (places !== undefined) Object.assign(process.env, ownPlaces(places, index));
  };
  enter();
  describe(file, async () => {
    before(enter);
    if (isShort)
      afterEach((context) => {
        if ("passed" in context && !context.passed) hasFailed = true;
      });
    after(() => over.resolve());
    try {
      await import(pathToFileURL(file).href);
    } catch (error) {
      hasFailed = true;
      over.resolve();
      throw error;
    } finally {
      loaded.resolve();
    }
    await allLoaded.promise;
  });
  // One after the other: which suite a test belongs to is known from what loads it.
  await loaded.promise;
  if (isShort) await over.promise;
}
allLoaded.resolve();
