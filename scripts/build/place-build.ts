// Puts a build into dist/<digest>, switches dist/current to it, and removes builds that nobody uses any more.
// A build that is there is never changed, as running processes load from it.
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  chmod,
  constants,
  copyFile,
  glob,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { BuiltFile } from "./compile.ts";

/** Besides the current one: a command that has just read dist/current may still be on its way into the one before. */
const KEPT_PREVIOUS = 2;
const BUILD_NAME = /^[0-9a-f]{16}$/;
/** Being written, or being removed. Older ones are of builds that were ended. */
const UNFINISHED_NAME = /^\.(?:new|old)-/;
const UNFINISHED_LIFE_MS = 60 * 60_000;
/** What stays outside the bundles and is copied beside them. */
const KEPT_PACKAGES = ["node_modules/koffi", "node_modules/@koromix/koffi-*"];
/** Of a package's files, those that Node loads. */
const LOADED_NAME = /\.(?:c?js|json|node)$/;
/** The Node that `npm ci` brings: exactly the one for this machine is there. */
const PINNED_NODES = "node_modules/{node-linux-*,node-darwin-*,node-bin-darwin-*}/bin/node";

export function isLoaded(name: string): boolean {
  return LOADED_NAME.test(name);
}

export interface BuildPlacement {
  readonly root: string;
  readonly files: readonly BuiltFile[];
  /** The folders of dist that running processes use; null: unknown, so that none is removed. */
  readonly usedBuilds: () => Promise<ReadonlySet<string> | null>;
}

/** Resolves with the build's folder, relative to dist. */
export async function placeBuild({ root, files, usedBuilds }: BuildPlacement): Promise<string> {
  const dist = path.join(root, "dist");
  await mkdir(dist, { recursive: true });
  const packages = await foundIn(root, KEPT_PACKAGES);
  const name = await digest(root, files, packages);
  const folder = path.join(dist, name);
  if (await exists(folder)) {
    const now = new Date();
    await utimes(folder, now, now);
  } else {
    const unfinished = path.join(dist, `.new-${randomBytes(6).toString("hex")}`);
    await mkdir(unfinished);
    for (const { name: file, bytes, executable } of files)
      await writeFile(path.join(unfinished, file), bytes, { mode: executable ? 0o755 : 0o644 });
    for (const one of packages) await keepFolder(path.join(root, one), path.join(unfinished, one));
    await moveUnlessThere(unfinished, folder);
  }
  await keepNode(root, dist);
  await removeUnused(dist, name, usedBuilds);
  await writeWhole(path.join(dist, ".npmignore"), await unpublished(dist, name));
  await writeWhole(path.join(dist, "current"), `${name}\n`);
  return name;
}

async function digest(
  root: string,
  files: readonly BuiltFile[],
  packages: readonly string[],
): Promise<string> {
  const hash = createHash("sha256");
  const add = (name: string, bytes: Uint8Array): void => {
    hash.update(`${name}\0${bytes.byteLength}\0`).update(bytes);
  };
  for (const { name, bytes } of files) add(name, bytes);
  for (const one of packages) add(one, await readFile(path.join(root, one, "package.json")));
  return hash.digest("hex").slice(0, 16);
}

async function foundIn(root: string, patterns: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of glob([...patterns], { cwd: root })) found.push(entry);
  return found.sort();
}

/** `npm ci` removes node_modules under what runs, and a link more to the same bytes costs nothing. */
async function keepFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch {
    // Another filesystem, or another user's file.
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    const { mode, atime, mtime } = await stat(from);
    await chmod(to, mode);
    await utimes(to, atime, mtime);
  }
}

async function keepFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    const inside = path.relative(from, path.join(entry.parentPath, entry.name));
    if (entry.isFile() && isLoaded(entry.name)) {
      await mkdir(path.dirname(path.join(to, inside)), { recursive: true });
      await keepFile(path.join(from, inside), path.join(to, inside));
    }
  }
}

/** At one path for all builds: macOS grants access to files by a program's path. */
async function keepNode(root: string, dist: string): Promise<void> {
  const [pinned] = await foundIn(root, [PINNED_NODES]);
  if (pinned === undefined) return;
  const from = path.join(root, pinned);
  const to = path.join(dist, "node");
  if (await isSameFile(from, to)) return await recordLoader(to);
  await rm(`${to}.loader`, { force: true });
  const unfinished = path.join(dist, `.new-${randomBytes(6).toString("hex")}`);
  await keepFile(from, unfinished);
  await rename(unfinished, to);
  await recordLoader(to);
}

/** Records, beside a Node that runs here, the program that loads it, for bin/find-node.sh. */
async function recordLoader(node: string): Promise<void> {
  const runs = await promisify(execFile)(node, ["--version"]).then(
    ({ stdout }) => stdout.trim() === process.version,
    () => false,
  );
  const loader = runs ? loaderOf(await firstBytes(node)) : null;
  if (loader !== null) await writeWhole(`${node}.loader`, `${loader}\n`);
}

async function firstBytes(file: string): Promise<Buffer> {
  await using opened = await open(file);
  return (await opened.read(Buffer.alloc(4096), 0, 4096, 0)).buffer;
}

/** The interpreter that a 64-bit ELF file names; null: it names none. */
function loaderOf(bytes: Buffer): string | null {
  if (process.platform === "darwin") return "/usr/lib/dyld";
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) return null;
  const [table, size, count] = [
    Number(bytes.readBigUInt64LE(32)),
    bytes.readUInt16LE(54),
    bytes.readUInt16LE(56),
  ];
  for (let index = 0; index < count; index++) {
    const at = table + index * size;
    if (at + size > bytes.length || bytes.readUInt32LE(at) !== 3) continue;
    const [start, length] = [Number(bytes.readBigUInt64LE(at + 8)), Number(bytes.readBigUInt64LE(at + 32))];
    return bytes.subarray(start, start + length - 1).toString("latin1");
  }
  return null;
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  if (!(await exists(b))) return false;
  const [one, other] = await Promise.all([stat(a), stat(b)]);
  const isOneFile = one.dev === other.dev && one.ino === other.ino;
  return isOneFile || (one.size === other.size && Math.abs(one.mtimeMs - other.mtimeMs) < 1);
}

async function removeUnused(
  dist: string,
  current: string,
  usedBuilds: BuildPlacement["usedBuilds"],
): Promise<void> {
  const entries = await Promise.all(
    (await readdir(dist)).map(async (name) => ({
      name,
      age: Date.now() - (await changedAt(path.join(dist, name))),
    })),
  );
  for (const { name, age } of entries) {
    if (UNFINISHED_NAME.test(name) && age > UNFINISHED_LIFE_MS)
      await rm(path.join(dist, name), { recursive: true, force: true });
  }
  const older = entries
    .filter(({ name }) => BUILD_NAME.test(name) && name !== current)
    .sort((a, b) => a.age - b.age)
    .slice(KEPT_PREVIOUS);
  if (older.length === 0) return;
  const used = await usedBuilds();
  if (used === null) return;
  for (const { name } of older) {
    if (used.has(name)) continue;
    // Moved first, so that a build is there whole or not at all.
    const leaving = path.join(dist, `.old-${randomBytes(6).toString("hex")}`);
    await rename(path.join(dist, name), leaving).then(
      () => rm(leaving, { recursive: true, force: true }),
      (error: unknown) => {
        // Another build was faster.
        if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      },
    );
  }
}

/** For npm, which packs what dist holds: one build alone, and no Node. */
async function unpublished(dist: string, current: string): Promise<string> {
  const names = (await readdir(dist)).filter((name) => name !== current && name !== "current");
  return `${["node", "node.loader", "node_modules", "compiled", ".new-*", ".old-*", ...names.filter((name) => BUILD_NAME.test(name)).sort()].join("\n")}\n`;
}

/** Renamed into place: readers see the old text or the new one. */
async function writeWhole(file: string, text: string): Promise<void> {
  const unfinished = path.join(path.dirname(file), `.new-${randomBytes(6).toString("hex")}`);
  await writeFile(unfinished, text);
  await rename(unfinished, file);
}

/** Builds of one name are equal: whichever of two came first may stay. */
async function moveUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(await exists(to))) throw error;
    await rm(from, { recursive: true, force: true });
  }
}

async function changedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch {
    // Gone meanwhile.
    return Date.now();
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
