// Runs a script of the build with the code that V8 compiled for it in an earlier process. Node's own cache of compiled code
// leaves out functions that V8 compiles when they are first called.
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import { isSystemError, recoverFrom } from "../errors.ts";
import { sha256Of } from "../files/sha256.ts";

/** Beside the script. Compiled code is run like the script, so it counts only if no other user can have written it. */
const FOLDER = "compiled";
/** At the beginning of the file: a digest of the script, of the Node that compiled it and of the compiled code after it. */
const DIGEST_LENGTH = 64;
const OTHERS_MAY_WRITE = 0o022;

interface CompiledScript<Program> {
  /** What the script exports. */
  readonly program: Program;
  /** Keeps what V8 has compiled until now, unless it was kept before. If it cannot be written, nothing is kept. */
  keep(): void;
}

/**
 * Loads a script of scripts/build, which is one function in ASCII characters. `Program`: the type of its exports, which
 * is not checked. `use`: one of several uses of the script, of which each has its own functions compiled. `user`: the user
 * id of this process.
 */
export function loadScript<Program>(
  path: string,
  {
    use = "",
    user = process.geteuid?.(),
  }: { readonly use?: string; readonly user?: number | undefined } = {},
): CompiledScript<Program> {
  const bytes = readFileSync(path);
  const source = `${sha256Of(bytes)} ${ownCompiler()}`;
  const folder = join(dirname(path), FOLDER);
  const storedAt = join(folder, `${basename(path)}${use && `-${use}`}-${process.version}-${process.arch}`);
  const isOwn = (stats: Stats): boolean => stats.uid === user && (stats.mode & OTHERS_MAY_WRITE) === 0;
  const isUsed = process.env["NODE_DISABLE_COMPILE_CACHE"] === undefined;

  // As for an ES module, so that a debugger finds the source map.
  const filename = pathToFileURL(path).href;
  const stored = isUsed ? readStored(storedAt, folder, source, isOwn) : null;
  const script = new Script(bytes.toString("latin1"), {
    filename,
    ...(stored === null ? {} : { cachedData: stored }),
  });
  const isStored = stored !== null && script.cachedDataRejected === false;
  const module = { exports: {} };
  script.runInThisContext()(
    module.exports,
    (name: string): unknown => process.getBuiltinModule(name) ?? createRequire(path)(name),
    module,
    path,
    dirname(path),
    filename,
  );
  return {
    // The caller knows what the script at `path` exports.
    program: module.exports as Program,
    keep() {
      if (!isUsed || isStored) return;
      try {
        // Root leaves the folder to the user whose build it is.
        if (lstatSync(dirname(path)).uid !== user) return;
        mkdirSync(folder, { mode: 0o700, recursive: true });
        if (!isOwn(lstatSync(folder))) return;
        const code = script.createCachedData();
        writeWhole(storedAt, [digestOf(source, code), code]);
      } catch (error) {
        recoverFrom(isSystemError)(error);
      }
    },
  };
}

/** Null: there is none, others may have written it, or it is damaged or that of another script. */
function readStored(
  path: string,
  folder: string,
  source: string,
  isOwn: (stats: Stats) => boolean,
): Buffer | null {
  try {
    if (!isOwn(lstatSync(folder))) return null;
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (!isOwn(fstatSync(file))) return null;
      const stored = readFileSync(file);
      const code = stored.subarray(DIGEST_LENGTH);
      return stored.toString("latin1", 0, DIGEST_LENGTH) === digestOf(source, code) ? code : null;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return recoverFrom(isSystemError, null)(error);
  }
}

/** V8 does not notice all code that another build of the same version made, and then crashes (nodejs/node#62781). */
function ownCompiler(): string {
  const { size, mtimeMs } = statSync(process.execPath, { throwIfNoEntry: false }) ?? {};
  return `${size} ${mtimeMs}`;
}

/** Readers see the whole file or none. */
function writeWhole(path: string, parts: readonly (string | Buffer)[]): void {
  // Not named by the process id, which is the same in each start of a container.
  const unfinished = join(dirname(path), `.new-${randomBytes(6).toString("hex")}`);
  try {
    for (const [index, part] of parts.entries())
      writeFileSync(unfinished, part, { flag: index === 0 ? "wx" : "a", mode: 0o600 });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

function digestOf(source: string, code: Buffer): string {
  return createHash("sha256").update(source).update(code).digest("hex");
}
