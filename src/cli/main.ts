// The program's entry. It answers `--version` before it loads anything else, and calls run.ts for all other commands.
import { registerHooks } from "node:module";
import { packageVersion } from "../runtime/version.ts";

/**
 * All modules of a build lie in one folder. Without Node's own checks (links, package, kind of file) at each of 150, a
 * daemon's start takes a sixth less.
 */
function resolveInBuild(folder: string): void {
  registerHooks({
    resolve(name, context, next) {
      const isBeside = /^\.\/[^/]+\.js$/.test(name);
      if (!isBeside || context.parentURL?.replace(/[^/]*$/, "") !== folder) return next(name, context);
      return { url: `${folder}${name.slice(2)}`, format: "module", shortCircuit: true };
    },
  });
}

const VERSION_ARGS: readonly (string | undefined)[] = ["--version", "-V", "-v", "version"];
const [first, second, ...others] = process.argv.slice(2);
const wantsJson = second === "--json";
if (VERSION_ARGS.includes(first) && others.length === 0 && (second === undefined || wantsJson)) {
  process.stdout.on("error", () => {});
  const version = packageVersion();
  process.stdout.write(`${wantsJson ? JSON.stringify({ version }) : version}\n`);
} else {
  if (import.meta.url.endsWith(".js")) resolveInBuild(new URL(".", import.meta.url).href);
  const { run } = await import("./run.ts");
  await run(process.argv.slice(2));
}
