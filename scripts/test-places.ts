// Gives each test file its own folders, and finds what a run wrote outside of them.
import { mkdirSync } from "node:fs";
import { lstat, mkdtemp, readdir, readFile, realpath, rm, stat } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import path from "node:path";

/** The parts of the user's home in which programs create their own files: one level of each is compared. */
const PROGRAM_FOLDERS = [
  ...[
    "",
    ".cache",
    ".config",
    ".config/autostart",
    ".config/systemd/user",
    ".local",
    ".local/bin",
    ".local/share",
  ],
  ...[
    ".local/state",
    "Library/Application Support",
    "Library/Caches",
    "Library/LaunchAgents",
    "Library/Logs",
  ],
];
const OWN_NAME = "mountaineer";
/** The mount claims of one user: the folder stays, and so do the claims of a killed daemon, until another takes them. */
const CLAIMS_FOLDER = /\/(tmp\/mountaineer-\d+|user\/\d+\/mountaineer)$/;
/** Package managers keep the user's caches and settings, as `npm ci` does: most are large, or say how to reach a registry. */
const OF_PACKAGE_MANAGERS = {
  npm_config_cache: ".npm",
  npm_config_userconfig: ".npmrc",
  PIP_CACHE_DIR: ".cache/pip",
  GOPATH: "go",
  GOCACHE: ".cache/go-build",
} as const;
const OF_PACKAGE_MANAGERS_PATHS = /\/(\.npm|go|\.cache\/(pip|go-build)|\.config\/go)$/;
const RUN_PREFIX = "mt-";
/** Editors and shells save by a temporary file beside: what is gone after that time was such a one. */
const GRACE_MS = 1000;
/** Clocks of file systems are coarse. */
const BIRTH_TOLERANCE_MS = 50;

/** The variable with the folder for what runs keep: images, bare systems. */
const KEPT_VARIABLE = "MOUNTAINEER_TEST_CACHE";
/** That folder's name in the user's cache. */
const KEPT_NAME = "mountaineer-tests";

/** A folder for what test runs keep from one to the next, outside of the checkout. */
export function keptFolder(name: string): string {
  const cache = process.env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache");
  return path.join(process.env[KEPT_VARIABLE] || path.join(cache, KEPT_NAME), name);
}

/** The environment of a test run's processes, before each file gets its own folders. */
export function withoutUserPlaces(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(environment).filter(
    ([name]) => !name.startsWith("XDG_") && !["MOUNTAINEER_HOME", "MOUNTAINEER_LOG"].includes(name),
  );
  const home = homedir();
  const caches = Object.entries(OF_PACKAGE_MANAGERS).map(([name, place]) => [name, path.join(home, place)]);
  return { [KEPT_VARIABLE]: path.dirname(keptFolder("x")), ...Object.fromEntries([...caches, ...own]) };
}

/**
 * Makes the folders of the test file with that number in its process. Everything that is looked up by HOME follows:
 * MOUNTAINEER_HOME and XDG_* are unset. Short: paths of sockets below are limited to about 100 bytes.
 */
export function ownPlaces(folder: string, index: number): { readonly TMPDIR: string; readonly HOME: string } {
  const places = { TMPDIR: path.join(folder, String(index)), HOME: path.join(folder, `${index}h`) };
  mkdirSync(places.TMPDIR, { mode: 0o711, recursive: true });
  mkdirSync(places.HOME, { mode: 0o700, recursive: true });
  return places;
}

/** Makes the folder below which all of a run lies. */
export async function makeRunFolder(): Promise<string> {
  return realpath(await mkdtemp(path.join(tmpdir(), RUN_PREFIX)));
}

/** A time during which a test file ran, in ms since 1970. */
export interface Played {
  readonly title: string;
  readonly from: number;
  readonly to: number;
}

export interface Stray {
  readonly path: string;
  /** The test files that ran when it was made. */
  readonly suspects: readonly string[];
}

/** What stands outside of the run's folder at its begin and its end. */
export class Outside {
  readonly #run: string;
  readonly #startedAt = Date.now();
  #before: ReadonlyMap<string, number> = new Map();
  readonly #otherRuns = new Set<string>();

  /** `run`: the run's folder. */
  constructor(run: string) {
    this.#run = run;
  }

  async begin(): Promise<void> {
    this.#before = await everything();
    await this.notice();
  }

  /** Notices runs that are under way at the same time. To be called now and then. */
  async notice(): Promise<void> {
    for (const folder of new Set([path.dirname(this.#run), "/tmp"]))
      for (const name of await readdir(folder)) {
        const other = path.join(folder, name);
        // A run of a runner's test is within another.
        const isOther = !`${this.#run}/`.startsWith(`${other}/`);
        if (name.startsWith(RUN_PREFIX) && isOther) this.#otherRuns.add(other);
      }
  }

  /** What was made meanwhile and is still there. `isShared`: another run was under way, and may have made it. */
  async end(played: readonly Played[]): Promise<{ readonly strays: Stray[]; readonly isShared: boolean }> {
    await this.#removeClaims();
    const first = await this.#made();
    if (first.size === 0) return { strays: [], isShared: false };
    await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    const strays = [...(await this.#made())].map(([made, bornMs]): Stray => {
      const during = played.filter(
        ({ from, to }) => from - BIRTH_TOLERANCE_MS <= bornMs && bornMs <= to + BIRTH_TOLERANCE_MS,
      );
      return { path: made, suspects: during.map(({ title }) => title) };
    });
    return { strays, isShared: await this.#hadCompany() };
  }

  async #made(): Promise<Map<string, number>> {
    const found = [...(await everything())].filter(([entry]) => !this.#before.has(entry));
    // A new folder says it all.
    return new Map(found.filter(([entry]) => !found.some(([other]) => entry.startsWith(`${other}/`))));
  }

  /** A killed daemon leaves its claims, which name its home. */
  async #removeClaims(): Promise<void> {
    const uid = process.getuid?.();
    for (const folder of ["/var/run/mountaineer", `/run/user/${uid}/mountaineer`, `/tmp/mountaineer-${uid}`])
      for (const name of await readdir(folder).catch(() => [])) {
        const file = path.join(folder, name);
        if (!name.endsWith(".home")) continue;
        const home = await readFile(file, "utf8").catch(() => "");
        if (!home.startsWith(`${this.#run}/`)) continue;
        for (const one of [file, file.slice(0, -".home".length)]) await rm(one, { force: true });
      }
  }

  /** A folder that was there all the time and did not change is left from a run that was killed. */
  async #hadCompany(): Promise<boolean> {
    await this.notice();
    const changes = await Promise.all(
      [...this.#otherRuns].map(async (run) => (await stat(run).catch(() => null))?.mtimeMs ?? Infinity),
    );
    return changes.some((changedMs) => changedMs > this.#startedAt);
  }
}

/** The paths that are compared, with the time at which each was made. */
async function everything(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const look = async (folder: string, isWanted: (name: string) => boolean): Promise<void> => {
    for (const name of await readdir(folder).catch(() => [])) {
      const entry = path.join(folder, name);
      if (found.has(entry) || !isWanted(name) || name === KEPT_NAME) continue;
      if (OF_PACKAGE_MANAGERS_PATHS.test(entry)) continue;
      const state = await lstat(entry).catch(() => null);
      if (state === null || CLAIMS_FOLDER.test(entry)) continue;
      found.set(entry, state.birthtimeMs || state.ctimeMs);
      if (state.isDirectory() && name.includes(OWN_NAME)) await look(entry, () => true);
    }
  };
  for (const home of userHomes())
    for (const folder of PROGRAM_FOLDERS) await look(path.join(home, folder), () => true);
  await look("/tmp", (name) => name.startsWith(`${OWN_NAME}-`));
  await look("/run/user", () => true);
  await look(`/run/user/${process.getuid?.()}`, () => true);
  return found;
}

function userHomes(): Set<string> {
  try {
    return new Set([homedir(), userInfo().homedir]);
  } catch {
    // The user is in no list of users.
    return new Set([homedir()]);
  }
}
