// Which suite a test file belongs to. `lab`: what starts a whole daemon, a terminal, a browser or servers in network
// namespaces; `unit`: everything else, and the smoke stories; `nightly`: loads of which the lab plays a slice.
import path from "node:path";

/** An import that is more than types, of a file beside. */
const IMPORT = /^(?:import|export|\}) (?!type )[^"\n]*"(\.[^"\n]+\.ts)";$|^import "(\.[^"]+)";$/gm;
const STARTS_COMMANDS = /\bcurrentBuild\b|bin\/mountaineer"|src\/cli\/main\.ts"/;

export type Suite = "unit" | "lab" | "nightly";

/** Five whole stories of one daemon, so that `npm test` shows that the parts are joined. */
const SMOKE_FOLDER = "test/smoke/";

const LAB_FOLDER = "test/lab/";
/** A test file that loads one of these, itself or through what it loads, plays whole programs. */
const LAB_RIGS = [
  "test/demo/demo-process.ts",
  "test/rig/root-rig.ts",
  "test/tui/terminal.ts",
  "test/web/page-rig.ts",
];
/** As does what calls this: the only way in which tests start a daemon as people do (`test/support/daemon.ts`). */
const STARTS_DAEMON = ".startMonitor(";
/** Whole stories that need no daemon's process, and take as long as a hundred other files. */
const LAB_FILES = [
  "test/daemon/programs-on-shares.test.ts",
  "test/gateway/backends/transports/versions/real-servers.test.ts",
];

/** Loads that take hours, that do not pass yet, or that want a machine of their own: the kernel's SMB client in a guest. */
const NIGHTLY_FOLDERS = ["test/nightly/"];
/** Stories of which the lab, or a suite of `.ci/run`, plays a shorter one. */
const NIGHTLY_FILES = [
  "test/demo/story/script-local.test.ts",
  "test/demo/story/script-smb.test.ts",
  "test/lab/gateway-restarts.test.ts",
  "test/mcp/conformance-sign-in.test.ts",
];

/** What the rules name: each has to exist. */
export const NAMED_FILES: readonly string[] = [...LAB_RIGS, ...LAB_FILES, ...NIGHTLY_FILES];

/** `sources`: the text of each TypeScript file below test/, by its path from the root. */
export function suitesOf(sources: ReadonlyMap<string, string>): Map<string, Suite> {
  const playsWhole = (test: string): boolean =>
    loadedBy(test, sources).some(
      (file) => LAB_RIGS.includes(file) || sources.get(file)?.includes(STARTS_DAEMON) === true,
    );
  const suites = new Map<string, Suite>();
  for (const file of sources.keys()) {
    if (!file.endsWith(".test.ts")) continue;
    if (NIGHTLY_FOLDERS.some((folder) => file.startsWith(folder)) || NIGHTLY_FILES.includes(file))
      suites.set(file, "nightly");
    else if (file.startsWith(SMOKE_FOLDER)) suites.set(file, "unit");
    else if (file.startsWith(LAB_FOLDER) || LAB_FILES.includes(file) || playsWhole(file))
      suites.set(file, "lab");
    else suites.set(file, "unit");
  }
  return suites;
}

/** Whether a test file starts whole commands, most of them the build's. */
export function startsCommands(test: string, sources: ReadonlyMap<string, string>): boolean {
  return loadedBy(test, sources).some((file) => STARTS_COMMANDS.test(sources.get(file) ?? ""));
}

/** The file itself, and what it loads of the tests' own parts. */
function loadedBy(test: string, sources: ReadonlyMap<string, string>): string[] {
  const reached = new Set([test]);
  for (const file of reached) {
    const source = sources.get(file) ?? "";
    for (const [, from, bare] of source.matchAll(IMPORT)) {
      const target = path.join(path.dirname(file), from ?? bare ?? "");
      if (target.startsWith("test/")) reached.add(target);
    }
  }
  return [...reached];
}
