// Part of `npm run static`: shellcheck over the shell scripts, actionlint over the workflows. Where one of them cannot be
// had here, it is left out and said so; with CI set that is a failure.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { errorText } from "../src/runtime/errors.ts";
import { entryExists } from "../src/runtime/files/durable-file.ts";
import { COMPILER, goProgram } from "./mount/compiler.ts";
import { run } from "./mount/run.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const ACTIONLINT = { module: "github.com/rhysd/actionlint/cmd/actionlint", version: "v1.7.12" } as const;
/** The first line of a script for a shell that shellcheck knows. */
const SHELL = /^#!\/(?:bin\/sh|bin\/bash|usr\/bin\/env bash)\n/;

async function shellScripts(): Promise<readonly string[]> {
  const listed = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  const files = listed.split("\0").filter((file) => /(?:\.sh|\/[^./]+)$/.test(file));
  const isShell = await Promise.all(
    files.map(async (file) => SHELL.test(await readFile(path.join(ROOT, file), "utf8").catch(() => ""))),
  );
  return files.filter((_, at) => isShell[at]);
}

/** Built once for this version and kept in the checkout: only that needs the network. */
async function actionlint(): Promise<string> {
  const folder = path.join(ROOT, ".tmp/actionlint", ACTIONLINT.version);
  const program = path.join(folder, "actionlint");
  if (await entryExists(program)) return program;
  const go = await goProgram(ROOT);
  const env = { GOBIN: folder, CGO_ENABLED: "0", GOTOOLCHAIN: COMPILER };
  await run(go, ["install", `${ACTIONLINT.module}@${ACTIONLINT.version}`], { env });
  return program;
}

async function shellcheck(): Promise<string> {
  await run("shellcheck", ["--version"]);
  return "shellcheck";
}

/** Resolves with the program; null where it cannot be had. */
async function found(name: string, find: () => Promise<string>): Promise<string | null> {
  try {
    return await find();
  } catch (error) {
    process.stdout.write(`left out: ${name} cannot be had here: ${errorText(error).slice(0, 300)}\n`);
    if (process.env["CI"]) process.exitCode = 1;
    return null;
  }
}

async function check(name: string, find: () => Promise<string>, args: readonly string[]): Promise<void> {
  const program = await found(name, find);
  if (program === null) return;
  try {
    await promisify(execFile)(program, [...args], { cwd: ROOT });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    process.stdout.write(`${name}:\n${stdout}${stderr}`);
    process.exitCode = 1;
  }
}

await check("shellcheck", shellcheck, [
  "--external-sources",
  "--severity=warning",
  ...(await shellScripts()),
]);
await check("actionlint", actionlint, []);
