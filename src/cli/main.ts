// The program's entry. It answers `--version` before it loads anything else, and loads the daemon or the commands.
import { lstatSync, mkdirSync, statSync } from "node:fs";
import { createRequire, enableCompileCache, flushCompileCache, registerHooks } from "node:module";
import { join } from "node:path";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import { packageVersion } from "../runtime/version.ts";
import { readMonitorArguments } from "./input/monitor-arguments.ts";
import { readPlainLine } from "./input/plain-line.ts";

/**
 * All modules of a build lie in one folder. Without Node's own checks (links, package, kind of file) at each of 150, a
 * daemon's start takes a sixth less.
 */
function resolveInBuild(folder: string): void {
  registerHooks({
    resolve(name, context, next) {
      const isBeside = /^\.\/[^/]+\.js$/.test(name);
      if (!isBeside || context.parentURL?.slice(0, context.parentURL.lastIndexOf("/") + 1) !== folder)
        return next(name, context);
      return { url: `${folder}${name.slice(2)}`, format: "module", shortCircuit: true };
    },
  });
}

const OTHERS_MAY_WRITE = 0o022;

/**
 * Lets Node keep what V8 compiles. Compiled code is run like the build, so only the build's owner keeps any, in a folder that
 * no one else writes. Each Node has a separate folder: V8 does not notice all code that another build of the same version made,
 * and then crashes (nodejs/node#62781).
 */
function keepCompiled(folder: string): void {
  try {
    const user = process.geteuid?.();
    if (lstatSync(import.meta.dirname).uid !== user) return;
    mkdirSync(folder, { mode: 0o700, recursive: true });
    const { uid, mode } = lstatSync(folder);
    if (uid !== user || (mode & OTHERS_MAY_WRITE) !== 0) return;
    const { size, mtimeMs } = statSync(process.execPath);
    enableCompileCache(join(folder, `${size}-${mtimeMs}`));
  } catch (error) {
    recoverFrom(isSystemError)(error);
  }
}

/** False if the sources run, and if stacks are to name them. */
const runsScripts = import.meta.url.endsWith(".js") && !process.sourceMapsEnabled;

const VERSION_ARGS: readonly (string | undefined)[] = ["--version", "-V", "-v", "version"];
const [first, second, ...others] = process.argv.slice(2);
const wantsJson = second === "--json";
if (VERSION_ARGS.includes(first) && others.length === 0 && (second === undefined || wantsJson)) {
  process.stdout.on("error", () => {});
  const version = packageVersion();
  process.stdout.write(`${wantsJson ? JSON.stringify({ version }) : version}\n`);
} else {
  const args = process.argv.slice(2);
  const monitor = runsScripts ? readMonitorArguments(args) : null;
  const plain = runsScripts ? readPlainLine(args) : null;
  if (monitor !== null || plain !== null) {
    keepCompiled(join(import.meta.dirname, "compiled"));
    const load = createRequire(import.meta.url);
    if (monitor !== null) {
      const program: typeof import("./daemon.ts") = load("./daemon.cjs");
      await program.runDaemon(args, monitor, flushCompileCache);
    } else if (plain !== null) {
      resolveInBuild(new URL(".", import.meta.url).href);
      const program: typeof import("./plain.ts") = load("./plain.cjs");
      await program.runPlain(args, plain);
    }
  } else {
    if (import.meta.url.endsWith(".js")) resolveInBuild(new URL(".", import.meta.url).href);
    const { runCommands } = await import("./command-line.ts");
    await runCommands(args);
  }
}
