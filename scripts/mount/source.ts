// The source of mountaineer-fs: its own in mount/fs, and its SMB and FUSE libraries at pinned versions, as the Go module proxy has
// them, with the changes of mount/smb and mount/fuse. A change is a patch, or a file at the place that it has in the module.
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./run.ts";

interface Library {
  /** Its folder in the workspace. */
  readonly name: string;
  /** The folder of its changes in mount/. */
  readonly changes: string;
  readonly module: string;
  readonly version: string;
  /** As sum.golang.org has it. */
  readonly sum: string;
}

const LIBRARIES: readonly Library[] = [
  {
    name: "go-smb2",
    changes: "smb",
    module: "github.com/cloudsoda/go-smb2",
    version: "v0.0.0-20260918041005-0c5d69b69701",
    sum: "h1:xiTow1n7oNJPzn9QH+U2sT65mO2F12zNNlY4ZzOew70=",
  },
  {
    name: "go-fuse",
    changes: "fuse",
    module: "github.com/hanwen/go-fuse/v2",
    version: "v2.11.0",
    sum: "h1:CGVkJh9gRz0pTRMADNcqdFl3ec/5QbE/Vx1Gl7ESozM=",
  },
];

export type GoEnvironment = Readonly<Record<string, string>>;

/** A digest of all that decides the program's bytes but the platform. */
export async function sourceDigest(root: string): Promise<string> {
  return await digestOf(path.join(root, "mount"), [""]);
}

async function digestOf(mount: string, folders: readonly string[]): Promise<string> {
  const listed = folders.map((folder) =>
    readdir(path.join(mount, folder), { recursive: true, withFileTypes: true }),
  );
  const files = (await Promise.all(listed))
    .flat()
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".md"))
    .map((entry) => path.join(entry.parentPath, entry.name));
  const hash = createHash("sha256").update(LIBRARIES.map(({ sum }) => sum).join());
  for (const file of files.sort())
    hash.update(`\0${path.relative(mount, file)}\0`).update(await readFile(file));
  return hash.digest("hex").slice(0, 12);
}

export interface GoSource {
  /** The folder of mountaineer-fs itself, with `go.mod` and `go.work`. */
  readonly own: string;
  /** Each with its packages that have files of ours, and those below them, as `go test` takes them. */
  readonly libraries: readonly { readonly folder: string; readonly packages: readonly string[] }[];
}

/** Puts the changed libraries where mount/go.work names them, once for each state of their changes. */
export async function goSource(root: string, go: string, env: GoEnvironment): Promise<GoSource> {
  const folder = path.join(root, ".tmp/mount/libraries");
  const own = path.join(root, "mount");
  const libraries = LIBRARIES.map(async ({ name, changes }) => ({
    folder: path.join(folder, name),
    packages: await ownPackages(path.join(own, changes)),
  }));
  const source = { own, libraries: await Promise.all(libraries) };
  const digest = await digestOf(
    own,
    LIBRARIES.map(({ changes }) => changes),
  );
  if ((await readFile(path.join(folder, "digest"), "utf8").catch(() => "")) === digest) return source;
  const unfinished = `${folder}.${process.pid}`;
  try {
    await mkdir(unfinished, { recursive: true });
    for (const library of LIBRARIES) await placeLibrary(root, unfinished, library, go, env);
    await writeFile(path.join(unfinished, "digest"), digest);
    await rm(folder, { recursive: true, force: true });
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return source;
}

async function ownPackages(changes: string): Promise<readonly string[]> {
  const files = (await readdir(changes, { recursive: true })).filter((file) => file.endsWith(".go"));
  return [...new Set(files.map((file) => `./${path.join(path.dirname(file), "...")}`))].sort();
}

async function placeLibrary(
  root: string,
  workspace: string,
  { name, changes: own, module, version, sum }: Library,
  go: string,
  env: GoEnvironment,
): Promise<void> {
  const said = await run(go, ["mod", "download", "-json", `${module}@${version}`], { env, cwd: workspace });
  const { Dir, Sum } = JSON.parse(said) as { Dir: string; Sum: string };
  if (Sum !== sum) throw new Error(`${module} ${version} has the sum ${Sum}, not ${sum}`);
  const folder = path.join(workspace, name);
  // The module cache is read-only: of a copy with its modes only root could change or remove anything.
  for (const entry of await readdir(Dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const copied = path.join(folder, path.relative(Dir, file));
    await mkdir(path.dirname(copied), { recursive: true });
    await writeFile(copied, await readFile(file));
  }
  const changes = path.join(root, "mount", own);
  const patches = (await readdir(changes)).filter((file) => file.endsWith(".patch")).sort();
  // As if there were no repository around.
  const alone = { GIT_CEILING_DIRECTORIES: workspace };
  for (const file of patches)
    await run("git", ["apply", "--whitespace=nowarn", path.join(changes, file)], { cwd: folder, env: alone });
  await cp(changes, folder, { recursive: true, filter: (file) => !file.endsWith(".patch") });
}
