// The program's entry. It answers `--version` before it loads anything else, and loads the daemon or the commands.
import { registerHooks } from "node:module";
import { join } from "node:path";
import { packageVersion } from "../runtime/version.ts";
import { type MonitorArguments, readMonitorArguments } from "./input/monitor-arguments.ts";

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

/** The arguments of a daemon that is to run as one script; null: not a daemon, or its stacks are to name the sources. */
function daemonArguments(args: readonly string[]): MonitorArguments | null {
  return import.meta.url.endsWith(".ts") || process.sourceMapsEnabled ? null : readMonitorArguments(args);
}

const VERSION_ARGS: readonly (string | undefined)[] = ["--version", "-V", "-v", "version"];
const [first, second, ...others] = process.argv.slice(2);
const wantsJson = second === "--json";
if (VERSION_ARGS.includes(first) && others.length === 0 && (second === undefined || wantsJson)) {
  process.stdout.on("error", () => {});
  const version = packageVersion();
  process.stdout.write(`${wantsJson ? JSON.stringify({ version }) : version}\n`);
} else {
  const args = process.argv.slice(2);
  const monitor = daemonArguments(args);
  if (monitor !== null) {
    const { loadScript } = await import("../runtime/process/compiled-script.ts");
    const { program, keep } = loadScript<typeof import("./daemon.ts")>(
      join(import.meta.dirname, "daemon.cjs"),
    );
    await program.runDaemon(args, monitor, keep);
  } else {
    if (import.meta.url.endsWith(".js")) resolveInBuild(new URL(".", import.meta.url).href);
    const { runCommands } = await import("./command-line.ts");
    await runCommands(args);
  }
}
