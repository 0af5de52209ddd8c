// The program's entry: tells its version before anything else is loaded, and leaves the rest to run.ts.
import { packageVersion } from "../api/version.ts";

const VERSION_WORDS: readonly (string | undefined)[] = ["--version", "-V", "-v", "version"];
const [first, ...others] = process.argv.slice(2);
if (others.length === 0 && VERSION_WORDS.includes(first)) {
  process.stdout.on("error", () => {});
  process.stdout.write(`${packageVersion()}\n`);
} else {
  const { run } = await import("./run.ts");
  await run(process.argv.slice(2));
}
