// Plays a release but its uploads on this machine: made twice from clones of the last commit, at two paths and, where
// faketime is installed, at two times; signed with a key of its own; compared; and refused when something is wrong.
import { generateKeyPairSync } from "node:crypto";
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { errorText } from "../../src/runtime/errors.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { PLATFORMS, platformPackage } from "../bundle/platform-packages.ts";
import { run } from "../engine/run.ts";

interface Rehearsal {
  readonly root: string;
  readonly platforms: readonly string[];
  readonly rclone: string | null;
  readonly level: string;
  readonly print: (line: string) => void;
}

/** Of no release, so that a file that it signed is never taken for one. */
const keys = generateKeyPairSync("ed25519");
const KEY = {
  MOUNTAINEER_RELEASE_KEY: keys.publicKey
    .export({ format: "der", type: "spki" })
    .subarray(-32)
    .toString("base64"),
};
const SIGNING_KEY = keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
/** At paths of different lengths, one with spaces. */
const TWICE = [
  { name: "first", at: "2027-02-03 04:05:06" },
  { name: "second, at a longer path", at: "2031-12-30 23:59:59" },
] as const;

export async function rehearse({ root, platforms, rclone, level, print }: Rehearsal): Promise<void> {
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
  const commit = (await run("git", ["rev-parse", "HEAD"], { cwd: root })).trim();
  const made: string[] = [];
  for (const { name, at } of TWICE) {
    const clone = path.join(folder, name, "clone");
    const output = path.join(folder, name, "out");
    await mkdir(path.dirname(clone), { recursive: true });
    await run("git", ["clone", "--quiet", "--no-checkout", root, clone]);
    await run("git", ["checkout", "--quiet", "--detach", commit], { cwd: clone });
    for (const part of ["node_modules", ".tmp/bundle/packages", ".tmp/engine"])
      await linked(path.join(root, part), path.join(clone, part));
    const makes = [
      path.join(clone, "bin/with-node"),
      ...["scripts/release.ts", "make", "--output", output, "--level", level],
      ...platforms.flatMap((platform) => ["--platform", platform]),
      ...(rclone === null ? [] : ["--rclone", rclone]),
    ];
    const [program = "", ...args] = faketime === null ? makes : [faketime, at, ...makes];
    const env = { ...KEY, GITHUB_REPOSITORY: "example/mountaineer", FAKETIME_DONT_FAKE_MONOTONIC: "1" };
    await run(program, args, { cwd: clone, env });
    await run(path.join(root, "scripts/release/sign.sh"), [output, version], {
      env: { MOUNTAINEER_SIGNING_KEY: SIGNING_KEY },
    });
    print(`${name}: ${(await check(root, output, version, platforms)).trim()}`);
    await rm(clone, { recursive: true });
    made.push(output);
  }
  const [first = "", second = ""] = made;
  await compare(first, second);
  print("both are the same, byte for byte");
  for (const file of await readdir(first))
    await refused(`missing: ${file}`, () => rm(path.join(second, file)));
  await refused("not part of a release: more", () => writeFile(path.join(second, "more"), ""));
  const changed = `mountaineerd-${version}.tgz`;
  await refused(`${changed}: FAILED`, () => writeFile(path.join(second, changed), "changed"));
  await refused("SHA256SUMS was not signed by the release key", () =>
    writeFile(path.join(second, "SHA256SUMS.sig"), Buffer.alloc(64)),
  );
  print("each is refused that is not whole");
  await rm(folder, { recursive: true });

  /** Spoils the second release, which is put right again after it; throws if it is refused for another reason, or not at all. */
  async function refused(reason: string, spoil: () => Promise<unknown>): Promise<void> {
    await spoil();
    const said = await check(root, second, version, platforms).catch((error: unknown) => errorText(error));
    if (!said.split("\n").some((line) => line.endsWith(reason)))
      throw new Error(`a release is not refused with "${reason}", but: ${said}`);
    for (const file of await readdir(second)) await rm(path.join(second, file));
    for (const file of await readdir(first)) await copyFile(path.join(first, file), path.join(second, file));
  }
}

function check(root: string, folder: string, version: string, platforms: readonly string[]): Promise<string> {
  return run(path.join(root, "scripts/release/check.sh"), [folder, version, ...platforms], { env: KEY });
}

async function compare(first: string, second: string): Promise<void> {
  const [names, others] = [(await readdir(first)).sort(), (await readdir(second)).sort()];
  if (names.join() !== others.join()) throw new Error(`${names.join()} and ${others.join()}`);
  for (const name of names) {
    const [a, b] = [await readFile(path.join(first, name)), await readFile(path.join(second, name))];
    if (!a.equals(b)) throw new Error(`${name} differs: compare ${first} and ${second}`);
  }
}

/** Hard links where that can be: a clone's packages are 500 MB. */
async function linked(from: string, to: string): Promise<void> {
  await mkdir(path.dirname(to), { recursive: true });
  await run("cp", ["-al", from, to]).catch(() => cp(from, to, { recursive: true }).catch(() => {}));
}
