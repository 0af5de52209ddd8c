// Plays a release but its uploads on this machine: made twice from clones of the last commit, at two paths and, where
// faketime is installed, at two times; signed with keys of its own; compared; played; and refused when something is wrong.
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { errorText } from "../../src/runtime/errors.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { PLATFORMS, platformPackage } from "../bundle/platform-packages.ts";
import { run } from "../mount/run.ts";
import { type RehearsalKeys, rehearsalKeys } from "./rehearsal-keys.ts";

interface Rehearsal {
  readonly root: string;
  readonly platforms: readonly string[];
  readonly mountProgram: string | null;
  readonly level: string;
  readonly print: (line: string) => void;
}

/** At paths of different lengths, one with spaces. */
const TWICE = [
  { name: "first", at: "2027-02-03 04:05:06" },
  { name: "second, at a longer path", at: "2031-12-30 23:59:59" },
] as const;

export async function rehearse(rehearsal: Rehearsal): Promise<void> {
  const { root, platforms, print } = rehearsal;
  const folder = path.join(root, ".tmp/release");
  await rm(folder, { recursive: true, force: true });
  const { version } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as {
    version: string;
  };
  // Here, as a clone at another time could not fetch them.
  for (const platform of PLATFORMS.filter(({ name }) => platforms.includes(name)))
    for (const name of [platform.node, platform.koffi, "koffi"]) await platformPackage(root, name);
  const faketime = await findProgram("faketime", (process.env["PATH"] ?? "").split(":"));
  if (faketime === null) print("without faketime: both are made at the same time");
  const keys = await rehearsalKeys(path.join(folder, "keys"));
  const made: string[] = [];
  for (const { name, at } of TWICE) {
    const faked = faketime === null ? [] : [faketime, at];
    made.push(await makeSigned(path.join(folder, name), rehearsal, keys, faked));
    for (const check of Object.values(checksOf(path.join(folder, name), rehearsal, version, keys)))
      print(`${name}: ${(await check()).trim()}`);
  }
  const [first = "", second = ""] = made;
  await compare(first, second);
  print("both are the same, byte for byte");
  await playFormula(path.join(first, "out"), path.join(folder, "formula"), rehearsal, version);
  await refuseWhatIsWrong(second, version, checksOf(second, rehearsal, version, keys));
  const expiring = await rehearsalKeys(path.join(folder, "keys"), "20y");
  const sign = run(path.join(root, "scripts/release/sign-site.sh"), [path.join(second, "site")], {
    env: expiring.secret,
  });
  const said = await sign.catch((error: unknown) => errorText(error));
  if (!said.includes("the archive key expires")) throw new Error(`a key that expires signs: ${said}`);
  print("each is refused that is not whole");
  await rm(folder, { recursive: true });
}

/** Resolves with the folder that has the release in `out` and the package repositories in `site`. */
async function makeSigned(
  folder: string,
  { root, platforms, mountProgram, level }: Rehearsal,
  keys: RehearsalKeys,
  faked: readonly string[],
): Promise<string> {
  const clone = path.join(folder, "clone");
  const [output, site] = [path.join(folder, "out"), path.join(folder, "site")];
  await mkdir(folder, { recursive: true });
  const commit = (await run("git", ["rev-parse", "HEAD"], { cwd: root })).trim();
  await run("git", ["clone", "--quiet", "--no-checkout", root, clone]);
  await run("git", ["checkout", "--quiet", "--detach", commit], { cwd: clone });
  for (const part of ["node_modules", ".tmp/bundle/packages", ".tmp/mount"])
    await linked(path.join(root, part), path.join(clone, part));
  const [program = "", ...args] = [
    ...faked,
    path.join(clone, "bin/with-node"),
    ...["scripts/release.ts", "make", "--output", output, "--site", site, "--level", level],
    ...platforms.flatMap((platform) => ["--platform", platform]),
    ...(mountProgram === null ? [] : ["--mount-program", mountProgram]),
  ];
  // Files have the times that were given to them: faketime would move those too.
  const faketime = { FAKETIME_DONT_FAKE_MONOTONIC: "1", NO_FAKE_STAT: "1" };
  const env = { ...keys.known, ...faketime, GITHUB_REPOSITORY: "example/mountaineer" };
  await run(program, args, { cwd: clone, env });
  await run(path.join(root, "scripts/release/sign.sh"), [output], { env: keys.secret });
  await run(path.join(root, "scripts/release/sign-site.sh"), [site], { env: keys.secret });
  await rm(clone, { recursive: true });
  return folder;
}

/** One for the release's files, one for the repositories: each resolves with what it found, and rejects if something is wrong. */
function checksOf(
  folder: string,
  { root, platforms }: Rehearsal,
  version: string,
  { known }: RehearsalKeys,
): Record<"out" | "site", () => Promise<string>> {
  const check = (script: string, place: string) => () =>
    run(path.join(root, "scripts/release", script), [path.join(folder, place), version, ...platforms], {
      env: known,
    });
  return { out: check("check.sh", "out"), site: check("check-site.sh", "site") };
}

/** Installs what the formula names, by Ruby alone, and puts it into a tap twice. */
async function playFormula(
  output: string,
  work: string,
  { root, platforms, print }: Rehearsal,
  version: string,
): Promise<void> {
  const formula = path.join(output, "mountaineer.rb");
  const play = path.join(root, "scripts/release/play-formula.rb");
  print((await run("ruby", [play, formula, output, work, ...platforms])).trim());
  const tap = path.join(work, "tap.git");
  await run("git", ["init", "--quiet", "--bare", tap]);
  const update = () => run(path.join(root, "scripts/release/tap.sh"), [formula, version, tap]);
  await update();
  const again = await update();
  if (!again.includes("already")) throw new Error(`the tap was changed twice: ${again}`);
  const held = await run("git", ["show", "HEAD:Formula/mountaineer.rb"], { cwd: tap });
  if (held !== (await readFile(formula, "utf8"))) throw new Error("the tap has another formula");
}

async function refuseWhatIsWrong(
  folder: string,
  version: string,
  checks: ReturnType<typeof checksOf>,
): Promise<void> {
  const aside = path.join(folder, "aside");
  for (const place of ["out", "site"] as const)
    for (const file of await filesIn(path.join(folder, place))) {
      await rename(path.join(folder, place, file), aside);
      await refused(place, `missing: ${file.replace(/\/[0-9a-f]{64}-/, "/")}`);
      await rename(aside, path.join(folder, place, file));
    }
  await spoiled("out/more", "", "not part of a release: more");
  await spoiled("site/dnf/more", "", "not part of a repository: dnf/more");
  const archive = `mountaineerd-${version}.tgz`;
  await spoiled(`out/${archive}`, "changed", `${archive}: FAILED`);
  for (const file of await filesIn(path.join(folder, "site")))
    if (/\.(?:deb|rpm)$|Packages$/.test(file)) {
      const within = file.replace(/^apt\/(?:dists\/stable\/)?|^dnf\//, "");
      await spoiled(`site/${file}`, "changed", `${within}: FAILED`);
    }
  for (const [file, by] of [
    ["out/SHA256SUMS.sig", "SHA256SUMS was not signed by the release key"],
    ["site/apt/dists/stable/InRelease", "InRelease was not signed by the archive key"],
    ["site/apt/dists/stable/Release.gpg", "Release was not signed by the archive key"],
    ["site/dnf/repodata/repomd.xml.asc", "repomd.xml was not signed by the archive key"],
  ] as const)
    await spoiled(file, Buffer.alloc(64), by);
  for (const check of Object.values(checks)) await check();

  /** With another content for a while; without any before, it is removed again. */
  async function spoiled(name: string, content: string | Buffer, reason: string): Promise<void> {
    const file = path.join(folder, name);
    const isThere = await rename(file, aside).then(
      () => true,
      () => false,
    );
    await writeFile(file, content);
    await refused(name.startsWith("out/") ? "out" : "site", reason);
    await rm(file);
    if (isThere) await rename(aside, file);
  }

  async function refused(place: "out" | "site", reason: string): Promise<void> {
    const said = await checks[place]().catch((error: unknown) => errorText(error));
    if (!said.split("\n").some((line) => line.endsWith(reason)))
      throw new Error(`a release is not refused with "${reason}", but: ${said}`);
  }
}

async function compare(first: string, second: string): Promise<void> {
  const [names, others] = [await filesIn(first), await filesIn(second)];
  if (names.join() !== others.join()) throw new Error(`${names.join()} and ${others.join()}`);
  for (const name of names) {
    const [a, b] = [await readFile(path.join(first, name)), await readFile(path.join(second, name))];
    if (!a.equals(b)) throw new Error(`${name} differs: compare ${first} and ${second}`);
  }
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Hard links where that can be: a clone's packages are 500 MB. */
async function linked(from: string, to: string): Promise<void> {
  await mkdir(path.dirname(to), { recursive: true });
  await run("cp", ["-al", from, to]).catch(() => cp(from, to, { recursive: true }).catch(() => {}));
}
