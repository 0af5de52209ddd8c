// The program's entry: answers --version before anything else is loaded, and leaves the rest to run.ts.
import { packageVersion } from "../api/version.ts";

const [first, ...others] = process.argv.slice(2);
if (others.length === 0 && (first === "--version" || first === "-V")) {
  process.stdout.on("error", () => {});
  process.stdout.write(`${packageVersion()}\n`);
} else {
  const { run } = await import("./run.ts");
  await run(process.argv.slice(2));
}
