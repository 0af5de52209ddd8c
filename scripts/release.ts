// `npm run release -- make`: all files of a release but the signatures, into --output. `npm run release -- rehearse`: the
// same twice, signed with keys of its own, compared and checked (`release/rehearse.ts`); with --roots, two versions are installed,
// upgraded and removed in bare systems (`release/roots.ts`), or in those that --root names; --keep leaves the
// repositories in .tmp/release-roots. --platform NAME (again for more;
// default: all that there are; rehearse: this machine's), --mount-program FILE in place of one that is built, --level OF COMPRESSION. make also
// fills --site with the package repositories, whose key is MOUNTAINEER_ARCHIVE_KEY. GITHUB_REPOSITORY is named in what it makes.
import path from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { makeRelease } from "./release/make.ts";
import { rehearse } from "./release/rehearse.ts";
import { playRoots, ROOT_NAMES } from "./release/roots.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    platform: { type: "string", multiple: true },
    output: { type: "string", default: path.join(root, ".tmp/release") },
    site: { type: "string" },
    "mount-program": { type: "string" },
    level: { type: "string" },
    roots: { type: "boolean", default: false },
    root: { type: "string", multiple: true },
    keep: { type: "boolean", default: false },
  },
});
const { platform, output, "mount-program": mountProgram = null } = values;
const [what] = positionals;
if (what === "make") {
  const platforms = platform ?? PLATFORMS.map(({ name }) => name);
  const repository = process.env["GITHUB_REPOSITORY"] || null;
  const level = values.level ?? "9";
  const site = values.site === undefined ? null : path.resolve(values.site);
  await makeRelease({ root, output: path.resolve(output), site, platforms, repository, mountProgram, level });
} else if (what === "rehearse") {
  const platforms = platform ?? [`${process.platform}-${process.arch}`];
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  if (values.roots) {
    const { root: names = ROOT_NAMES, keep } = values;
    await playRoots({ root, names, mountProgram, keep, print });
  } else await rehearse({ root, platforms, mountProgram, level: values.level ?? "1", print });
} else {
  process.stderr.write("release: say make or rehearse\n");
  process.exitCode = 2;
}
