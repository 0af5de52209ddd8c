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
  const program = path.join(folder, "rclone");
  await mkdir(folder, { recursive: true });
  // A running mount keeps the file that it began with.
  await copyFile(engine.program, `${program}.new`);
  await rename(`${program}.new`, program);
  await writeFile(path.join(folder, "version"), `${engine.version}\n`);
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
    await writeFile(notices, await licencesIn(source, go, env));
    const flags = `-s -w -X ${RCLONE.module}/fs.Version=v${ENGINE_VERSION}`;
    const unfinished = `${program}.${process.pid}`;
    await run(go, ["build", "-trimpath", "-ldflags", flags, "-o", unfinished, "."], { cwd: source, env });
    await rename(unfinished, program);
  }
  return { program, version: ENGINE_VERSION, licences: await readFile(notices, "utf8") };
}

const LICENCE_NAME = /^(?:licen[cs]e|copying|notice)/i;

async function licencesIn(source: string, go: string, env: GoEnvironment): Promise<string> {
  const format = "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}";
  const listed = await run(go, ["list", "-deps", "-f", format, "."], { cwd: source, env });
  const goRoot = (await run(go, ["env", "GOROOT"], { cwd: source, env })).trim();
  const modules = [...new Set(listed.split("\n"))].filter((line) => line !== "").sort();
  const places = [`Go\t${COMPILER}\t${goRoot}`, ...modules].map((line) => line.split("\t"));
  const texts: string[] = [];
  for (const [name = "", version = "", folder = ""] of places) {
    const files = (await readdir(folder)).filter((file) => LICENCE_NAME.test(file)).sort();
    for (const file of files) {
      const text = await readFile(path.join(folder, file), "utf8").catch(() => null);
      if (text !== null)
        texts.push(`==== ${name} ${version || ENGINE_VERSION}: ${file}\n\n${text.trimEnd()}\n`);
    }
  }
  return texts.join("\n\n");
}
