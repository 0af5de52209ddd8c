// Builds mountaineer-fs, with the licences of all that is in it.
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { entryExists } from "../../src/runtime/files/durable-file.ts";
import { COMPILER, goProgram } from "./compiler.ts";
import { run } from "./run.ts";
import { type GoEnvironment, goSource, sourceDigest } from "./source.ts";

export interface BuiltProgram {
  readonly program: string;
  /** Empty: another's build. */
  readonly licences: string;
}

const PACKAGE = "./fs";

/** What all of Go's programs here are started with. */
export function goEnvironment(platform: GoEnvironment = {}): GoEnvironment {
  return { ...platform, CGO_ENABLED: "0", GOTOOLCHAIN: COMPILER, GOFLAGS: "-buildvcs=false" };
}

/** Puts the program into a folder, as src/mount-program finds it. */
export async function placeProgram(folder: string, program: string): Promise<void> {
  const placed = path.join(folder, "mountaineer-fs");
  await mkdir(folder, { recursive: true });
  // What runs keeps the file that it began with.
  await copyFile(program, `${placed}.new`);
  await rename(`${placed}.new`, placed);
}

/** Built once for each state of mount/ and platform: a minute or so. */
export async function builtProgram(
  root: string,
  { name, go: platform }: { readonly name: string; readonly go: GoEnvironment },
): Promise<BuiltProgram> {
  const digest = await sourceDigest(root);
  const folder = path.join(root, ".tmp/mount", `${digest}-${name}`);
  const [program, notices] = [path.join(folder, "mountaineer-fs"), path.join(folder, "licences.txt")];
  if (!(await entryExists(program))) {
    const go = await goProgram(root);
    const { own } = await goSource(root, go, goEnvironment());
    const env = goEnvironment(platform);
    await mkdir(folder, { recursive: true });
    const unfinished = `${program}.${process.pid}`;
    const flags = `-s -w -X main.version=${digest}`;
    await run(go, ["build", "-trimpath", "-ldflags", flags, "-o", unfinished, PACKAGE], { cwd: own, env });
    await writeFile(notices, await licencesOf(unfinished, own, go, env));
    await rename(unfinished, program);
  }
  return { program, licences: await readFile(notices, "utf8") };
}

const LICENCE_NAME = /^(?:licen[cs]e|copying|notice)/i;

/** The licences of the modules that the program says it is built of. Rejects if one of them has no licence. */
async function licencesOf(program: string, source: string, go: string, env: GoEnvironment): Promise<string> {
  const told = await run(go, ["version", "-m", program], { cwd: source, env });
  const built = [...told.matchAll(/^\tdep\t(\S+)/gm)].map(([, module = ""]) => module);
  if (built.length === 0) throw new Error(`${program} does not say what it is built of`);
  const format = "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}";
  const listed = await run(go, ["list", "-deps", "-f", format, PACKAGE], { cwd: source, env });
  const known = new Map(listed.split("\n").map((line) => [line.split("\t")[0], line.split("\t")]));
  const goRoot = (await run(go, ["env", "GOROOT"], { cwd: source, env })).trim();
  const places = [["Go", COMPILER, goRoot], ...built.sort().map((module) => known.get(module) ?? [module])];
  const texts = await Promise.all(places.map(licencesAt));
  return texts.flat().join("\n\n");
}

async function licencesAt([module = "", version = "", folder]: readonly string[]): Promise<string[]> {
  const names = folder === undefined ? [] : await readdir(folder, { withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && LICENCE_NAME.test(entry.name));
  if (files.length === 0) throw new Error(`mountaineer-fs is built of ${module}, which has no licence`);
  const sorted = files.map(({ name, parentPath }) => ({ name, file: path.join(parentPath, name) }));
  sorted.sort((one, other) => (one.name < other.name ? -1 : 1));
  return Promise.all(
    sorted.map(async ({ name, file }) => {
      const text = await readFile(file, "utf8");
      return `==== ${module} ${version ?? ""}: ${name}\n\n${text.trimEnd()}\n`;
    }),
  );
}
