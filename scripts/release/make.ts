// Makes all files of a release but the signatures: npm's package, what installs the bundle on each platform, the Homebrew
// formula, the list of ingredients, and the package repositories. Needs no key, and uploads nothing.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { PLATFORMS } from "../bundle/platform-packages.ts";
import { builtProgram } from "../mount/build.ts";
import { run } from "../mount/run.ts";
import { sbom } from "./sbom.ts";

interface Making {
  readonly root: string;
  /** Filled; made if it is not there. */
  readonly output: string;
  /** The folder of the package repositories, replaced; null: none are made. */
  readonly site: string | null;
  readonly platforms: readonly string[];
  /** OWNER/NAME on GitHub, which package and formula then name; null: they name none. */
  readonly repository: string | null;
  /** Another build of mountaineer-fs; null: one is built for each platform. */
  readonly mountProgram: string | null;
  /** Of all compression, 1 to 9. */
  readonly level: string;
}

export async function makeRelease({
  root,
  output,
  site,
  platforms,
  repository,
  mountProgram,
  level,
}: Making): Promise<void> {
  await mkdir(output, { recursive: true });
  const manifestFile = path.join(root, "package.json");
  const text = await readFile(manifestFile, "utf8");
  const manifest = JSON.parse(text) as { readonly version: string };
  const home = repository === null ? null : `https://github.com/${repository}`;
  const address = `${home ?? "https://example.invalid/mountaineer"}/releases/download/v${manifest.version}`;
  const work = await mkdtemp(path.join(output, ".bundle-"));
  try {
    await run(process.execPath, [
      path.join(root, "scripts/bundle.ts"),
      ...platforms.flatMap((platform) => ["--platform", platform]),
      ...["--output", work, "--level", level, "--url", address],
      ...(mountProgram === null ? [] : ["--mount-program", mountProgram]),
    ]);
    for (const entry of await readdir(work, { withFileTypes: true }))
      if (entry.isFile()) await rename(path.join(work, entry.name), path.join(output, entry.name));
    if (home !== null) {
      // npm compares the repository with where the workflow runs.
      const links = { homepage: `${home}#readme`, bugs: `${home}/issues`, repository: `git+${home}.git` };
      await writeFile(manifestFile, `${JSON.stringify({ ...manifest, ...links }, null, 2)}\n`);
    }
    await run("npm", ["pack", "--pack-destination", output], { cwd: root });
  } finally {
    await writeFile(manifestFile, text);
    await rm(work, { recursive: true, force: true });
  }
  const built = await Promise.all(
    mountProgram === null ? platforms.map((name) => builtProgram(root, platformOf(name))) : [],
  );
  const epochSeconds = Number(await run("git", ["log", "-1", "--format=%ct"], { cwd: root }));
  const goLicences = built.map(({ licences }) => licences).join("\n");
  await writeFile(
    path.join(output, "sbom.cdx.json"),
    await sbom({ root, version: manifest.version, epochSeconds, goLicences }),
  );
  if (site !== null)
    await run(path.join(root, "scripts/release/site.sh"), [
      ...[output, site, siteAddress(repository), String(epochSeconds)],
    ]);
}

/** Of GitHub's pages of a repository. */
function siteAddress(repository: string | null): string {
  const [owner, name] = repository?.split("/") ?? [];
  return `https://${owner?.toLowerCase() ?? "example"}.github.io/${name ?? "mountaineer"}`;
}

function platformOf(name: string): (typeof PLATFORMS)[number] {
  const found = PLATFORMS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no platform ${name}`);
  return found;
}
