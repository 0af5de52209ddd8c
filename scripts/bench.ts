// Runs the benches one after the other. They print measurements and assert nothing.
import { glob } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

interface Bench {
  readonly title: string;
  /** What this machine lacks for the bench; null: nothing. */
  readonly missing: () => string | null;
  readonly bench: (options: { short: boolean }) => Promise<void>;
}

const { values, positionals } = parseArgs({
  options: { short: { type: "boolean", default: false } },
  allowPositionals: true,
});
const root = join(import.meta.dirname, "..");
const files = (await Array.fromAsync(glob("bench/*.bench.ts", { cwd: root }))).sort();
const names = files.map((file) => basename(file, ".bench.ts"));
const unknown = positionals.filter((one) => !names.includes(one) && !names.includes(`gateway-${one}`));
if (unknown.length > 0) {
  process.stderr.write(`bench: there is no ${unknown.join(", ")}; there are ${names.join(", ")}\n`);
  process.exitCode = 2;
}
for (const file of unknown.length > 0 ? [] : files) {
  const name = basename(file, ".bench.ts");
  const isNamed = positionals.includes(name) || positionals.includes(name.replace(/^gateway-/, ""));
  if (positionals.length > 0 && !isNamed) continue;
  const { title, missing, bench }: Bench = await import(join(root, file));
  process.stdout.write(`${title}\n`);
  const lacking = missing();
  if (lacking !== null) {
    process.stdout.write(`  not run: ${lacking}\n`);
    if (process.env["CI"] === "true") process.exitCode = 1;
    continue;
  }
  await bench(values);
}
