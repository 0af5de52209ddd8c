// A machine as README describes it, with nothing but git and Node: a bare Debian in which an ordinary user runs commands in a copy of this
// checkout. As root, with debootstrap.
// Usage: bin/with-node scripts/bare-machine.ts make, which prints the machine's folder, or says why there is none; and
//        bin/with-node scripts/bare-machine.ts run FOLDER COMMAND; `shares` instead of `run`: once the user has installed what
//        README names for shares.
import { spawn } from "node:child_process";
import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { recoverFrom } from "../src/runtime/errors.ts";
import { findProgram } from "../src/runtime/process/find-program.ts";
import { goProgram } from "./mount/compiler.ts";
import { run } from "./mount/run.ts";
import { bareRoot, enteringBareRoot } from "./release/bare-root.ts";
import { BARE_SUITE, type FailedFiles } from "./test-replay.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const SUITE = "bookworm";
/** Debian's packages that README asks for beside npm, and what they bring. */
const PACKAGES = ["ca-certificates", "git"];
/** Where shares are to be mounted; samba is the user's own NAS. */
const FOR_SHARES = [...PACKAGES, "fuse3", "samba"];
/** Where the machine's folder is inside. */
const AT = "/srv";
/** Without the pinned Node, whose npm would not know the machine's settings. */
const MACHINE_PATH = (process.env["PATH"] ?? "")
  .split(path.delimiter)
  .filter((folder) => folder !== path.dirname(process.execPath));
/** npm's settings that say how it reaches the registry. */
const NPM_SETTINGS = ["registry", "proxy", "https-proxy", "noproxy", "strict-ssl"];
/** The user's folder for what the runner records, outside of the user's home; `.ci/run` reads `skips`. */
const RECORDS = "records";

async function npmSetting(name: string): Promise<string> {
  return (
    await run("npm", ["config", "get", name], { env: { PATH: MACHINE_PATH.join(path.delimiter) } })
  ).trim();
}

async function make(): Promise<string> {
  const bare = await bareRoot(SUITE, PACKAGES);
  const folder = await mkdtemp(path.join(tmpdir(), "bare-mountaineer-"));
  try {
    await fill(folder, bare);
    // A container may lack the right to mount, or to become another user.
    await run("unshare", entering(folder, "node --version && npm --version"));
    return folder;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function fill(folder: string, bare: string): Promise<void> {
  await chmod(folder, 0o755);
  await symlink(bare, path.join(folder, "bare"));
  await copyFile(process.execPath, path.join(folder, "node"));
  const npm = await findProgram("npm", MACHINE_PATH);
  if (npm === null) throw new Error("npm is not installed");
  await cp(path.resolve(await realpath(npm), "../.."), path.join(folder, "npm"), { recursive: true });
  const isIgnored = await ignoredFiles();
  const filter = (file: string): boolean => !isIgnored(file);
  await cp(ROOT, path.join(folder, "ann/mountaineer"), { recursive: true, verbatimSymlinks: true, filter });
  const cache = path.join(await npmSetting("cache"), "_cacache");
  await cp(cache, path.join(folder, "ann/.npm/_cacache"), { recursive: true }).catch(
    recoverFrom("ENOENT", undefined),
  );
  const settings = await Promise.all(
    NPM_SETTINGS.map(async (name) => [name, await npmSetting(name)] as const),
  );
  const known = settings.filter(([, value]) => !["", "null", "undefined"].includes(value));
  const { NODE_EXTRA_CA_CERTS, SSL_CERT_FILE } = process.env;
  const authorities = [NODE_EXTRA_CA_CERTS, await npmSetting("cafile"), SSL_CERT_FILE];
  const file = authorities.find((one) => one?.startsWith("/"));
  if (file !== undefined) await copyFile(file, path.join(folder, "authorities.pem"));
  const lines = [
    ...known.map(([name, value]) => `npm_config_${name.replaceAll("-", "_")}=${value}`),
    ...(file === undefined
      ? []
      : ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"].map((name) => `${name}=${AT}/authorities.pem`)),
    ...["http_proxy", "https_proxy", "no_proxy", "GOPROXY", "GOSUMDB"].flatMap((name) =>
      process.env[name] === undefined ? [] : [`${name}=${process.env[name]}`],
    ),
  ];
  await writeFile(path.join(folder, "environment"), lines.map((line) => `${line}\n`).join(""));
  await mkdir(path.join(folder, RECORDS));
  await run("chown", ["-R", "1000:1000", path.join(folder, "ann"), path.join(folder, RECORDS)]);
}

/** Whether git is told to ignore the file; git itself may be missing here. */
async function ignoredFiles(): Promise<(file: string) => boolean> {
  const rules = (await readFile(path.join(ROOT, ".gitignore"), "utf8"))
    .split("\n")
    .filter((rule) => rule !== "");
  const isIgnored = (name: string, rule: string): boolean =>
    path.matchesGlob(rule.startsWith("/") ? name : path.basename(name), rule.replace(/^\/|\/$/g, ""));
  return (file) => ["/.git", ...rules].some((rule) => isIgnored(path.relative(ROOT, file), rule));
}

/**
 * Node and npm where a package of Debian has them; then the user's command, as the user. This shell is the first process
 * there: it stays, because it must reap what others leave behind.
 */
const ENTERED = `set -eu
cp ${AT}/node /usr/bin/node
mkdir -p /usr/lib/node_modules
cp -r ${AT}/npm /usr/lib/node_modules/npm
for one in npm npx; do ln -s ../lib/node_modules/npm/bin/$one-cli.js /usr/bin/$one; done
useradd --uid 1000 --home-dir ${AT}/ann --shell /bin/bash ann
cd ${AT}/ann/mountaineer
while IFS= read -r line; do export "$line"; done <${AT}/environment
export HOME=${AT}/ann USER=ann LOGNAME=ann MOUNTAINEER_TEST_FAILURES=${AT}/${RECORDS}/failures MOUNTAINEER_TEST_SKIPS=${AT}/${RECORDS}/skips
code=0
setpriv --reuid=1000 --regid=1000 --clear-groups bash -c "$1" || code=$?
exit $code
`;

function entering(folder: string, command: string, withShares: string | null = null): string[] {
  const machine = { folder, at: AT, devices: withShares === null ? "plain" : "fuse" } as const;
  const bare = withShares ?? path.join(folder, "bare");
  return enteringBareRoot(bare, machine, ["/bin/sh", "-c", ENTERED, "sh", command]);
}

/** Debian with what shares need; what this machine's Go has fetched and built is there, as npm's cache is. */
async function installForShares(folder: string): Promise<string> {
  const bare = await bareRoot(SUITE, FOR_SHARES);
  const places = await run(await goProgram(ROOT), ["env", "GOCACHE", "GOMODCACHE"]);
  const [built = "", fetched = ""] = places.split("\n");
  const ann = path.join(folder, "ann");
  for (const [from, to] of [
    [built, ".cache/go-build"],
    [path.join(fetched, "cache/download"), "go/pkg/mod/cache/download"],
  ] as const)
    await cp(from, path.join(ann, to), { recursive: true }).catch(recoverFrom("ENOENT", undefined));
  await run("chown", ["-R", "1000:1000", ann]);
  return bare;
}

/** Resolves with the exit code. The test files that failed go on to whoever asked for them, as files of this machine. */
async function runIn(folder: string, command: string, withShares: string | null): Promise<number> {
  const failures = path.join(folder, RECORDS, "failures");
  await rm(failures, { force: true });
  const child = spawn("unshare", entering(folder, command, withShares), { stdio: "inherit" });
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve(exitCode ?? 1));
  });
  const wanted = process.env["MOUNTAINEER_TEST_FAILURES"];
  const lines = (await readFile(failures, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  if (wanted !== undefined)
    for (const line of lines) {
      const failed: FailedFiles = JSON.parse(line);
      await appendFile(wanted, `${JSON.stringify({ ...failed, suite: BARE_SUITE })}\n`);
    }
  return code;
}

const [verb, folder, command] = process.argv.slice(2);
if (verb === "make") {
  try {
    process.stdout.write(`${await make()}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
} else if ((verb === "run" || verb === "shares") && folder !== undefined && command !== undefined) {
  process.exitCode = await runIn(folder, command, verb === "run" ? null : await installForShares(folder));
} else throw new Error("say make, or run FOLDER COMMAND, or shares FOLDER COMMAND");
