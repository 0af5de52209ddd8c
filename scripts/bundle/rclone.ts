// Builds the pinned rclone from its source, as the Go module proxy has it at that tag, with the licences of all that is in it.
import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { PINNED } from "../../src/rclone-release/releases.ts";
import type { Platform } from "./platform-packages.ts";
import { run } from "./run.ts";

const MODULE = "github.com/rclone/rclone";
/** Of the module at the pinned version, as sum.golang.org has it. */
const SOURCE_SUM = "h1:kIxQcoDLj2Gke/gMSHK7OnxhX1Gu1cJBLP1kJZoaFp0=";
/** The same compiler everywhere, else the bytes differ; Go fetches it by itself if another one is installed. */
const COMPILER = "go1.26.8";

export interface BuiltRclone {
  readonly program: string;
  readonly licences: string;
}

/** Built once for each checkout, version and platform: takes minutes. */
export async function builtRclone(root: string, { name, go }: Platform): Promise<BuiltRclone> {
  const folder = path.join(root, ".tmp/bundle/rclone", `${PINNED.version}-${name}`);
  const [program, notices] = [path.join(folder, "rclone"), path.join(folder, "licences.txt")];
  if (!(await isFile(program))) {
    const env = { ...go, CGO_ENABLED: "0", GOTOOLCHAIN: COMPILER, GOFLAGS: "-buildvcs=false" };
    const source = await sourceFolder(env);
    await mkdir(folder, { recursive: true });
    await writeFile(notices, await licencesIn(source, env));
    const flags = `-s -w -X ${MODULE}/fs.Version=v${PINNED.version}`;
    await run("go", ["build", "-trimpath", "-ldflags", flags, "-o", `${program}.new`, "."], {
      cwd: source,
      env,
    });
    await rename(`${program}.new`, program);
  }
  return { program, licences: await readFile(notices, "utf8") };
}

async function sourceFolder(env: Readonly<Record<string, string>>): Promise<string> {
  const said = await run("go", ["mod", "download", "-json", `${MODULE}@v${PINNED.version}`], { env });
  const { Dir, Sum } = JSON.parse(said) as { Dir: string; Sum: string };
  if (Sum !== SOURCE_SUM) throw new Error(`the source of rclone ${PINNED.version} has the sum ${Sum}`);
  return Dir;
}

const LICENCE_NAME = /^(?:licen[cs]e|copying|notice)/i;

async function licencesIn(source: string, env: Readonly<Record<string, string>>): Promise<string> {
  const format = "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}";
  const listed = await run("go", ["list", "-deps", "-f", format, "."], { cwd: source, env });
  const goRoot = (await run("go", ["env", "GOROOT"], { cwd: source, env })).trim();
  const modules = [...new Set(listed.split("\n"))].filter((line) => line !== "").sort();
  const places = [`Go\t${COMPILER}\t${goRoot}`, ...modules].map((line) => line.split("\t"));
  const texts: string[] = [];
  for (const [name = "", version = "", folder = ""] of places) {
    const files = (await readdir(folder)).filter((file) => LICENCE_NAME.test(file)).sort();
    for (const file of files) {
      const text = await readFile(path.join(folder, file), "utf8").catch(() => null);
      if (text !== null)
        texts.push(`==== ${name} ${version || `v${PINNED.version}`}: ${file}\n\n${text.trimEnd()}\n`);
    }
  }
  return texts.join("\n\n");
}

function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
