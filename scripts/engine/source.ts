// The engine's source: rclone and its SMB library at pinned versions, as the Go module proxy has them, with the changes of
// engine/changes. A change is a patch, or a file at the place that it has in the module.
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { entryExists } from "../../src/runtime/files/durable-file.ts";
import { run } from "./run.ts";

interface PinnedModule {
  /** Its folder in the source, and in engine/changes. */
  readonly name: string;
  readonly module: string;
  readonly version: string;
  /** As sum.golang.org has it. */
  readonly sum: string;
}

export const RCLONE: PinnedModule = {
  name: "rclone",
  module: "github.com/rclone/rclone",
  version: "v1.76.0",
  sum: "h1:Gabl7KmhxyOXyMtFNA/s6wZ3LZ/2x0NP7xZLNEW3Guo=",
};
/** The version that rclone's own go.mod names. */
const SMB: PinnedModule = {
  name: "go-smb2",
  module: "github.com/cloudsoda/go-smb2",
  version: "v0.0.0-20260918041005-0c5d69b69701",
  sum: "h1:xiTow1n7oNJPzn9QH+U2sT65mO2F12zNNlY4ZzOew70=",
};

export const MODULES: readonly PinnedModule[] = [SMB, RCLONE];

/**
 * Told by `rclone version`. The last number is raised with each change that is released, also when rclone's own version
 * changes: it alone tells which engine is newer.
 */
export const ENGINE_VERSION = "1.76.0-mountaineer.2";

export type GoEnvironment = Readonly<Record<string, string>>;

/** A digest of all that decides the program's bytes but the platform. */
export async function sourceDigest(root: string): Promise<string> {
  const folder = path.join(root, "engine");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".md"))
    .map((entry) => path.join(entry.parentPath, entry.name));
  const hash = createHash("sha256").update(`${ENGINE_VERSION}\0${RCLONE.sum}\0${SMB.sum}`);
  for (const file of files.sort())
    hash.update(`\0${path.relative(folder, file)}\0`).update(await readFile(file));
  return hash.digest("hex").slice(0, 12);
}

/** Resolves with the folder that has the workspace. Made once for each state of engine/. */
export async function engineSource(root: string, go: string, env: GoEnvironment): Promise<string> {
  const folder = path.join(root, ".tmp/engine", `source-${await sourceDigest(root)}`);
  if (await entryExists(path.join(folder, "go.work"))) return folder;
  const unfinished = `${folder}.${process.pid}`;
  try {
    await mkdir(unfinished, { recursive: true });
    for (const pinned of MODULES) await placeModule(root, unfinished, pinned, go, env);
    const own = path.join(root, "engine");
    for (const name of ["main.go", "go.mod", "fs"])
      await cp(path.join(own, name), path.join(unfinished, "engine", name), { recursive: true });
    for (const file of ["go.work", "go.work.sum"])
      await cp(path.join(own, file), path.join(unfinished, file));
    await rm(folder, { recursive: true, force: true });
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** The packages of a module with changes, and those below them, as `go test` takes them. */
export async function changedPackages(root: string, name: string): Promise<readonly string[]> {
  const changes = path.join(root, "engine/changes", name);
  const files = await readdir(changes, { recursive: true });
  const patches = files.filter((file) => file.endsWith(".patch"));
  const texts = await Promise.all(patches.map((file) => readFile(path.join(changes, file), "utf8")));
  const patched = texts.flatMap((text) =>
    [...text.matchAll(/^\+\+\+ b\/(.*\.go)$/gm)].map(([, file = ""]) => file),
  );
  const changed = [...files.filter((file) => file.endsWith(".go")), ...patched];
  return [...new Set(changed.map((file) => `./${path.join(path.dirname(file), "...")}`))].sort();
}

async function placeModule(
  root: string,
  source: string,
  pinned: PinnedModule,
  go: string,
  env: GoEnvironment,
) {
  const { name, module, version, sum } = pinned;
  const said = await run(go, ["mod", "download", "-json", `${module}@${version}`], { env, cwd: source });
  const { Dir, Sum } = JSON.parse(said) as { Dir: string; Sum: string };
  if (Sum !== sum) throw new Error(`${module} ${version} has the sum ${Sum}, not ${sum}`);
  const folder = path.join(source, name);
  await cp(Dir, folder, { recursive: true });
  // The module cache is read-only.
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    await chmod(path.join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  const changes = path.join(root, "engine/changes", name);
  const patches = (await readdir(changes)).filter((file) => file.endsWith(".patch")).sort();
  // As if there were no repository around.
  const alone = { GIT_CEILING_DIRECTORIES: source };
  for (const file of patches)
    await run("git", ["apply", "--whitespace=nowarn", path.join(changes, file)], { cwd: folder, env: alone });
  await cp(changes, folder, { recursive: true, filter: (file) => !file.endsWith(".patch") });
}
