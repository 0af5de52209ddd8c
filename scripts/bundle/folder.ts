// Composes the folder that all artifacts are made of: the launcher, the build, the platform's Node and mountaineer-fs.
import { createHash } from "node:crypto";
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  utimes,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { COMPLETION_SCRIPTS } from "../../src/cli/commands/completions.ts";
import { compile, versionFiles } from "../build/compile.ts";
import { isLoaded } from "../build/place-build.ts";
import { type BuiltProgram, placeProgram } from "../mount/build.ts";
import { type Platform, platformPackage } from "./platform-packages.ts";

const LAUNCHER = ["bin/mountaineer", "bin/find-node.sh", "bin/service-keeper.sh"];
const DOCUMENTS = ["README.md", "LICENSE", "CHANGELOG.md", "THIRD-PARTY-NOTICES.md", "docs"];

/** Where each shell looks, below a prefix such as /usr. */
const COMPLETIONS = {
  bash: "share/bash-completion/completions/mountaineer",
  zsh: "share/zsh/site-functions/_mountaineer",
  fish: "share/fish/vendor_completions.d/mountaineer.fish",
} as const;

export interface Composed {
  readonly root: string;
  /** Replaced if it is there. */
  readonly folder: string;
  readonly platform: Platform;
  readonly version: string;
  /** null: the bundle brings none. */
  readonly mountProgram: BuiltProgram | null;
  readonly epochSeconds: number;
}

/** What the programs know of how they were installed; read by src/cli/input/launcher-path.ts and self-extract.sh. */
export function bundleText(
  { version }: Pick<Composed, "version">,
  tool: string | null,
  stable: string | null,
): string {
  return `${JSON.stringify({ version, tool, stable }, null, 2)}\n`;
}

export async function composeFolder(composed: Composed): Promise<void> {
  const { root, folder, platform, mountProgram, epochSeconds } = composed;
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.join(folder, "bin"), { recursive: true });
  for (const file of LAUNCHER) await copyFile(path.join(root, file), path.join(folder, file));
  for (const one of DOCUMENTS) await cp(path.join(root, one), path.join(folder, one), { recursive: true });
  await mkdir(path.join(folder, "share/man"), { recursive: true });
  await rename(path.join(folder, "docs/reference/man"), path.join(folder, "share/man/man1"));
  for (const [shell, file] of Object.entries(COMPLETIONS)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), COMPLETION_SCRIPTS[shell as keyof typeof COMPLETIONS]);
  }
  await placeBuild(composed);
  const node = await platformPackage(root, platform.node);
  await copyFile(path.join(node, "bin/node"), path.join(folder, "dist/node"));
  await mkdir(path.join(folder, "licenses"));
  await copyFile(path.join(node, "LICENSE"), path.join(folder, "licenses/node.txt"));
  if (mountProgram !== null) {
    await placeProgram(path.join(folder, "mount-program"), mountProgram.program);
    await writeFile(path.join(folder, "licenses/mountaineer-fs.txt"), mountProgram.licences);
  }
  await writeFile(path.join(folder, "bundle.json"), bundleText(composed, null, null));
  await settle(folder, epochSeconds);
}

async function placeBuild({ root, folder, platform, version }: Composed): Promise<void> {
  const compiled = await compile(root);
  const own = new Map(versionFiles(version).map((file) => [file.name, file]));
  const files = compiled.files.map((file) => own.get(file.name) ?? file);
  const koffi = await Promise.all(
    ["koffi", platform.koffi].map(async (name) => ({ name, from: await platformPackage(root, name) })),
  );
  const hash = createHash("sha256").update(platform.name);
  for (const { name, bytes } of files) hash.update(`${name}\0${bytes.byteLength}\0`).update(bytes);
  for (const { from } of koffi) hash.update(await readFile(path.join(from, "package.json")));
  const name = hash.digest("hex").slice(0, 16);
  const build = path.join(folder, "dist", name);
  await mkdir(build, { recursive: true });
  for (const { name: file, bytes } of files) await writeFile(path.join(build, file), bytes);
  for (const { name: packageName, from } of koffi) {
    const to = path.join(build, "node_modules", packageName);
    for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
      const inside = path.relative(from, path.join(entry.parentPath, entry.name));
      if (!entry.isFile() || !isLoaded(entry.name)) continue;
      await mkdir(path.dirname(path.join(to, inside)), { recursive: true });
      await copyFile(path.join(from, inside), path.join(to, inside));
    }
  }
  await writeFile(path.join(folder, "dist/current"), `${name}\n`);
}

const PROGRAM = /(?:^bin\/mountaineer|\.sh|^dist\/node|^mount-program\/mountaineer-fs)$/;

/** Gives all of it the modes and the time that it has on every machine. */
export async function settle(folder: string, epochSeconds: number): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.map((entry) => ({ entry, at: path.join(entry.parentPath, entry.name) }));
  for (const { entry, at } of paths) {
    if (entry.isSymbolicLink()) continue;
    const isProgram = entry.isDirectory() || PROGRAM.test(path.relative(folder, at));
    await chmod(at, isProgram ? 0o755 : 0o644);
  }
  await chmod(folder, 0o755);
  // The deepest first, as a change inside a folder changes its time.
  for (const { entry, at } of paths.reverse())
    if (!entry.isSymbolicLink()) await utimes(at, epochSeconds, epochSeconds);
  await utimes(folder, epochSeconds, epochSeconds);
}
