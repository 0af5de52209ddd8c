// Keeps what the running daemon may still load or start. An upgrade or `npm ci` may remove the package and its Node at any
// time: each file is then taken from a copy in the home, if the copy still has the bytes that the daemon started with.
import { createHash } from "node:crypto";
import { createReadStream, type Dirent, existsSync, readFileSync, type Stats, statSync } from "node:fs";
import {
  constants,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { registerHooks } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { errorText, MountaineerError, recoverFrom, valueOr } from "../errors.ts";
import { mayRun } from "../files/durable-file.ts";
import { sha256Of } from "../files/sha256.ts";

/** The folder in the home; in it, one folder for each daemon, named by its process id. */
const FOLDER = "program";
/** Compiled code, which the user who started the program first may keep from others. */
const CACHE = "compiled";
/** The commands' code, of which a daemon loads nothing. */
const UNUSED = /^(?!page-).*-[0-9A-Z]{8}\.js$|^command-line\.js$|^plain\.cjs$|\.map$/;
/** The copy takes some 10 MB, and must not fill the disk of a home. */
const LEAST_FREE_BYTES = 100 * 1024 * 1024;
/** In each daemon's folder: the names of all that was copied there. Nothing else is ever removed. */
const MARKER = "copied";

interface BuildFile {
  readonly sha256: string;
  /** Whether it loads the native library, which is beside it in several files. */
  readonly isNative: boolean;
}

interface OpenProgram {
  readonly stats: Stats;
  /** A path that stays valid when the program is removed. */
  readonly path: () => string;
}

/** One for each process, because imports and `process.execPath` are the process's, also. */
let running: BuildCopy | null = null;

/**
 * Copies this build into the home, and holds `programs` (absolute paths; missing ones are skipped) and Node. Disposing
 * removes the copies. Does nothing when run from source. If not all can be copied, nothing is: `uncopiedBecause` says why.
 */
export async function copyBuild(home: string, programs: readonly string[]): Promise<AsyncDisposable | null> {
  if (import.meta.url.endsWith(".ts")) return null;
  const folder = join(home, FOLDER);
  const build = new BuildCopy(dirname(fileURLToPath(import.meta.url)), folder);
  await removeLeftovers(folder);
  await build.copy([process.execPath, ...programs]);
  running = build;
  return build;
}

/** `path` of a file of this build or of a running program, or a path with the same content if that one is gone or changed. */
export function verifiedPath(path: string): string {
  return running?.path(path) ?? path;
}

/** The Node that runs this process. */
export function ownNode(): string {
  return verifiedPath(process.execPath);
}

/** The names of this build's files; null when run from source. */
export function buildFiles(): string[] | null {
  return running === null ? null : [...running.files.keys()];
}

/** The copies that another program has changed or removed. */
export function changedCopies(): readonly string[] {
  return [...(running?.changed ?? [])];
}

/** Why the home has no copy of this build; null if it has one, or needs none. */
export function uncopiedBecause(): string | null {
  return running?.uncopied ?? null;
}

class BuildCopy implements AsyncDisposable {
  readonly files = new Map<string, BuildFile>();
  readonly changed = new Set<string>();
  uncopied: string | null = null;
  readonly #programs = new Map<string, OpenProgram>();
  readonly #handles: FileHandle[] = [];
  readonly #from: string;
  /** The folder of all daemons' copies. */
  readonly #folder: string;
  readonly #to: string;
  #hooks: { deregister(): void } | null = null;

  constructor(from: string, folder: string) {
    this.#from = from;
    this.#folder = folder;
    this.#to = join(folder, String(process.pid));
  }

  async copy(programs: readonly string[]): Promise<void> {
    for (const file of await filesBelow(this.#from)) {
      const name = relative(this.#from, file);
      // Synchronous, as the program was loaded: it takes a fifth of the time.
      const bytes = readFileSync(file);
      this.files.set(name, { sha256: sha256Of(bytes), isNative: bytes.includes('"koffi"') });
    }
    const copied = await this.#copyFiles(programs.length).catch(errorText);
    if (copied !== undefined) this.uncopied = copied;
    for (const program of programs) await this.#openProgram(program);
    this.#hooks = registerHooks({
      resolve: (name, context, next) => {
        const { parentURL } = context;
        if (name !== "koffi" || parentURL === undefined) return next(name, context);
        const parent = pathToFileURL(this.path(fileURLToPath(parentURL))).href;
        return next(name, { ...context, parentURL: parent });
      },
    });
  }

  path(original: string): string {
    const program = this.#programs.get(original);
    if (program !== undefined)
      return isSameFile(program.stats, statSync(original, { throwIfNoEntry: false }))
        ? original
        : program.path();
    const name = relative(this.#from, original);
    const file = this.files.get(name);
    if (file === undefined) return original;
    const libraries = file.isNative
      ? [...this.files.keys()].filter((one) => one.startsWith("node_modules/"))
      : [];
    const isWhole = (folder: string): boolean =>
      [name, ...libraries].every((one) => hasDigest(join(folder, one), this.files.get(one)?.sha256));
    const copy = join(this.#to, name);
    const isCopyWhole = isWhole(this.#to);
    if (isCopyWhole || this.uncopied !== null) this.changed.delete(copy);
    else this.changed.add(copy);
    if (isWhole(this.#from)) return original;
    if (isCopyWhole) return copy;
    throw changedError(this.uncopied === null ? copy : original);
  }

  /** Rejects if not all can be copied. */
  async #copyFiles(programs: number): Promise<void> {
    await mkdir(this.#folder, { mode: 0o700 }).catch(recoverFrom("EEXIST", undefined));
    if (!(await isOwnFolder(this.#folder))) throw new Error(`${this.#folder} is not a folder of yours`);
    const { bavail, bsize } = await statfs(this.#folder);
    if (bavail * bsize < LEAST_FREE_BYTES) throw new Error("the home's disk has less than 100 MiB free");
    // Fails if anything is there: nothing is written into what another program made.
    await mkdir(this.#to, { mode: 0o700 });
    const names = [...this.files.keys(), ...Array.from({ length: programs }, (_, index) => `${index}`)];
    await writeFile(join(this.#to, MARKER), names.join("\n"), { flag: "wx", mode: 0o600 });
    for (const folder of new Set([...this.files.keys()].map((name) => dirname(name))))
      await mkdir(join(this.#to, folder), { recursive: true, mode: 0o700 });
    // Never a hard link, through which a program that writes the home would change the package.
    for (const name of this.files.keys()) await cloneFile(join(this.#from, name), join(this.#to, name));
  }

  async #openProgram(program: string): Promise<void> {
    const before = await stat(program).catch(() => null);
    if (before === null) return;
    const handle = await open(program, "r");
    this.#handles.push(handle);
    // Where an open file has a path, it can be run without a copy.
    if (existsSync(`/proc/self/fd/${handle.fd}`)) {
      const path = `/proc/${process.pid}/fd/${handle.fd}`;
      this.#programs.set(program, { stats: before, path: () => path });
      return;
    }
    const copy = join(this.#to, `${this.#programs.size}`);
    if (this.uncopied === null) await cloneFile(program, copy).catch(() => {});
    const hash = createHash("sha256");
    for await (const piece of createReadStream(program)) hash.update(piece);
    const sha256 = hash.digest("hex");
    const path = (): string => {
      if (hasDigest(copy, sha256)) return copy;
      this.changed.add(copy);
      throw changedError(copy);
    };
    this.#programs.set(program, { stats: before, path });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (running === this) running = null;
    this.#hooks?.deregister();
    await Promise.all(this.#handles.map((handle) => handle.close()));
    await removeCopy(this.#folder, `${process.pid}`);
  }
}

/** The files that may be loaded. */
async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isFile() && !UNUSED.test(entry.name)) files.push(path);
    if (entry.isDirectory() && entry.name !== CACHE) files.push(...(await filesBelow(path)));
  }
  return files;
}

/** Removes what daemons that were killed left behind. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names)
    if (Number(name) === process.pid || !mayRun(Number(name))) await removeCopy(folder, name);
}

/** Removes a daemon's folder if it is one, and has nothing in it but what the daemon copied. Never follows a link. */
async function removeCopy(folder: string, name: string): Promise<void> {
  const copy = join(folder, name);
  if (!/^\d+$/.test(name) || !(await isOwnFolder(folder)) || !(await isOwnFolder(copy))) return;
  const names = await readFile(join(copy, MARKER), "utf8").catch(() => "");
  const copied = new Set([MARKER, ...names.split("\n")]);
  const found = await readdir(copy, { withFileTypes: true, recursive: true });
  const isCopied = (entry: Dirent): boolean =>
    entry.isFile() ? copied.has(relative(copy, join(entry.parentPath, entry.name))) : entry.isDirectory();
  if (found.every(isCopied)) await rm(copy, { recursive: true, force: true });
}

async function isOwnFolder(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => null);
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

/** Shares the disk's blocks where the disk can, and copies the bytes elsewhere. */
function cloneFile(from: string, to: string): Promise<void> {
  return copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

function isSameFile(one: Stats, other: Stats | undefined): boolean {
  return (
    one.dev === other?.dev &&
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs
  );
}

/** Synchronous, because imports are. The largest file of a build has a megabyte. */
function hasDigest(path: string, sha256: string | undefined): boolean {
  return valueOr(() => sha256Of(readFileSync(path)) === sha256, false);
}

function changedError(copy: string): MountaineerError {
  return new MountaineerError(
    "program_unavailable",
    `${copy} is not the file that this daemon started with, so it is not run`,
    { hint: "mountaineer restart" },
  );
}
