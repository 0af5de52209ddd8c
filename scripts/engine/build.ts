// Builds the engine, with the licences of all that is in it.
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { entryExists } from "../../src/runtime/files/durable-file.ts";
import { COMPILER, goProgram } from "./compiler.ts";
import { run } from "./run.ts";
import { ENGINE_VERSION, engineSource, type GoEnvironment, RCLONE, sourceDigest } from "./source.ts";

export interface BuiltEngine {
  readonly program: string;
  /** Empty: another's build. */
  readonly version: string;
  readonly licences: string;
}

/** What all of Go's programs here are started with. */
export function goEnvironment(platform: GoEnvironment = {}): GoEnvironment {
  return { ...platform, CGO_ENABLED: "0", GOTOOLCHAIN: COMPILER, GOFLAGS: "-buildvcs=false" };
}

/** Puts the engine into a folder `rclone`, with its version beside it, as src/rclone-release/installed.ts finds it. */
export async function placeEngine(folder: string, engine: Omit<BuiltEngine, "licences">): Promise<void> {
  await placeProgram(folder, engine.program);
  await writeFile(path.join(folder, "version"), `${engine.version}\n`);
}

export async function placeProgram(folder: string, program: string): Promise<void> {
  const placed = path.join(folder, path.basename(program));
  await mkdir(folder, { recursive: true });
  // A running mount keeps the file that it began with.
  await copyFile(program, `${placed}.new`);
  await rename(`${placed}.new`, placed);
}

/** Built once for each state of engine/ and platform: a minute or two. */
export async function builtEngine(
  root: string,
  { name, go: platform }: { readonly name: string; readonly go: GoEnvironment },
): Promise<BuiltEngine> {
  const folder = path.join(root, ".tmp/engine", `${await sourceDigest(root)}-${name}`);
  const [program, notices] = [path.join(folder, "rclone"), path.join(folder, "licences.txt")];
  if (!(await entryExists(program))) {
    const go = await goProgram(root);
    const source = path.join(await engineSource(root, go, goEnvironment()), "engine");
    const env = goEnvironment(platform);
    await mkdir(folder, { recursive: true });
    const flags = `-s -w -X ${RCLONE.module}/fs.Version=v${ENGINE_VERSION}`;
    const unfinished = `${program}.${process.pid}`;
    await run(go, ["build", "-trimpath", "-ldflags", flags, "-o", unfinished, "."], { cwd: source, env });
    await writeFile(notices, await licencesOf(unfinished, source, go, env));
    await rename(unfinished, program);
  }
  return { program, version: ENGINE_VERSION, licences: await readFile(notices, "utf8") };
}

/** `mountaineer-fs`, for this machine. */
export async function builtFileSystem(root: string): Promise<string> {
  const version = await sourceDigest(root);
  const program = path.join(root, ".tmp/engine", `${version}-fs`, "mountaineer-fs");
  if (!(await entryExists(program))) {
    const go = await goProgram(root);
    const env = goEnvironment();
    const cwd = path.join(await engineSource(root, go, env), "engine");
    const flags = `-s -w -X main.version=${version}`;
    await run(go, ["build", "-trimpath", "-ldflags", flags, "-o", program, "./fs"], { cwd, env });
  }
  return program;
}

const LICENCE_NAME = /^(?:licen[cs]e|copying|notice)/i;

/** The licences of the modules that the program says it is built of. Rejects if one of them has no licence. */
async function licencesOf(program: string, source: string, go: string, env: GoEnvironment): Promise<string> {
  const told = await run(go, ["version", "-m", program], { cwd: source, env });
  const built = [...told.matchAll(/^\tdep\t(\S+)/gm)].map(([, module = ""]) => module);
  if (built.length === 0) throw new Error(`${program} does not say what it is built of`);
  const format = "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}";
  const listed = await run(go, ["list", "-deps", "-f", format, "."], { cwd: source, env });
  const known = new Map(listed.split("\n").map((line) => [line.split("\t")[0], line.split("\t")]));
  const goRoot = (await run(go, ["env", "GOROOT"], { cwd: source, env })).trim();
  const places = [["Go", COMPILER, goRoot], ...built.sort().map((module) => known.get(module) ?? [module])];
  const texts = await Promise.all(places.map(licencesAt));
  return texts.flat().join("\n\n");
}

async function licencesAt([module = "", version = "", folder]: readonly string[]): Promise<string[]> {
  const names = folder === undefined ? [] : await readdir(folder, { withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && LICENCE_NAME.test(entry.name));
  if (files.length === 0) throw new Error(`the engine is built of ${module}, which has no licence`);
  const sorted = files.map(({ name, parentPath }) => ({ name, file: path.join(parentPath, name) }));
  sorted.sort((one, other) => (one.name < other.name ? -1 : 1));
  return Promise.all(
    sorted.map(async ({ name, file }) => {
      const text = await readFile(file, "utf8");
      return `==== ${module} ${version || ENGINE_VERSION}: ${name}\n\n${text.trimEnd()}\n`;
    }),
  );
}
