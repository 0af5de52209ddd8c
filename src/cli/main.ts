// The program's entry. It answers `--version` before it loads anything else, and calls run.ts for all other commands.
import { packageVersion } from "../api/version.ts";

const VERSION_WORDS: readonly (string | undefined)[] = ["--version", "-V", "-v", "version"];
const [first, second, ...others] = process.argv.slice(2);
const asksJson = second === "--json";
if (VERSION_WORDS.includes(first) && others.length === 0 && (second === undefined || asksJson)) {
  process.stdout.on("error", () => {});
  const version = packageVersion();
  process.stdout.write(`${asksJson ? JSON.stringify({ version }) : version}\n`);
} else {
  const { run } = await import("./run.ts");
  await run(process.argv.slice(2));
}
