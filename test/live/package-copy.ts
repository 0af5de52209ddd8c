// A copy of this checkout that can be rebuilt, and whose node_modules can be taken away, under a running daemon.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFile, cp, mkdir, readdir, readFile, realpath, rename } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { currentBuild } from "../../scripts/current-build.ts";

const execute = promisify(execFile);

const ROOT = path.resolve(import.meta.dirname, "../..");
/** What a build needs beside the packages that it bundles; the notices name those. */
const TOOLS = /^(?:esbuild|@esbuild|koffi|@koromix|node-(?:linux|darwin|bin)-.+)$/;
const BUILD_DEADLINE_MS = 120_000;

export interface PackageCopy {
  readonly root: string;
  readonly launcher: string;
  /** Resolves with the folder of the build that the launcher runs from now on, absolute. */
  build(): Promise<string>;
  /** Makes every later build another one, down to the chunk that nearly all programs load. */
  changeSources(): Promise<void>;
  builds(): Promise<readonly string[]>;
  takeNodeModulesAway(): Promise<void>;
}

/** Those of node_modules that hold them: a package's own, or its scope's. */
async function bundledFolders(): Promise<ReadonlySet<string>> {
  const notices = await readFile(path.join(ROOT, "THIRD-PARTY-NOTICES.md"), "utf8");
  return new Set([...notices.matchAll(/^## ([^/\n]+)/gm)].map(([, name = ""]) => name));
}

export async function packageCopy(root: string): Promise<PackageCopy> {
  const modules = path.join(root, "node_modules");
  await mkdir(modules, { recursive: true });
  const documents = ["docs/reference/config.schema.json", "docs/use/page.md"];
  for (const part of ["bin", "src", "scripts", "package.json", ...documents])
    await cp(path.join(ROOT, part), path.join(root, part), { recursive: true });
  const bundled = await bundledFolders();
  const from = await realpath(path.join(ROOT, "node_modules"));
  for (const name of await readdir(from)) {
    if (!TOOLS.test(name) && !bundled.has(name)) continue;
    // Links to the same files where that can be: Node alone is 150 MB.
    const [source, target] = [path.join(from, name), path.join(modules, name)];
    await execute("cp", ["-R", "-l", source, target]).catch(async () => {
      await execute("rm", ["-rf", target]);
      await execute("cp", ["-R", source, target]);
    });
  }
  let changes = 0;
  return {
    root,
    launcher: path.join(root, "bin/mountaineer"),
    async build() {
      await execute(path.join(root, "bin/with-node"), [path.join(root, "scripts/build.ts")], {
        cwd: root,
        timeout: BUILD_DEADLINE_MS,
      });
      const build = currentBuild(root);
      assert.ok(build !== null);
      return build;
    },
    async changeSources() {
      await appendFile(
        path.join(root, "src/runtime/errors.ts"),
        `\nReflect.set(globalThis, "changes", ${++changes});\n`,
      );
    },
    async builds() {
      const names = await readdir(path.join(root, "dist"));
      return names.filter((name) => /^[0-9a-f]{16}$/.test(name)).map((name) => path.join(root, "dist", name));
    },
    takeNodeModulesAway: () => rename(modules, path.join(root, "node_modules.away")),
  };
}
