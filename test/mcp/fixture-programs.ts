// The fixtures as programs: where they are, and those that serve over HTTP for as long as a test.
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const program = (name: string): string => fixture(`${name}.ts`);

/** Absolute paths, to be run by `process.execPath`. */
export const ASKING_SERVER = program("asking-server");
export const CHANGING_SERVER = program("changing-server");
export const CONFORMANCE_SERVER = program("conformance-server");
export const LIGHT_SERVER = program("light-server");
export const MALFORMED_SERVER = program("malformed-server");
export const CONFORMANCE_MODERN_SERVER = program("conformance-modern-server");
export const MATRIX_MODERN_SERVER = program("matrix-modern-server");
export const MATRIX_SERVER = program("matrix-server");
export const MISBEHAVING_SERVER = program("misbehaving-server");
export const TASKS_SERVER = program("tasks-server");

/** Absolute path, to be run by `/bin/sh`: for thousands of starts. */
export const SHELL_SERVER = fixture("shell-server.sh");

interface HttpFixture extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

interface HttpFixtureOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly args?: readonly string[];
}

/** Starts `PROGRAM ARGS… --http PORT`; ended by its disposal. */
export async function openHttpFixture(
  file: string,
  env: Readonly<Record<string, string>> = {},
  { port = 0, args = [] }: HttpFixtureOptions = {},
): Promise<HttpFixture> {
  const child = spawn(process.execPath, [file, ...args, "--http", String(port)], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const url = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve(text.trim());
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code} before it served`)));
  });
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** As `openHttpFixture`, ended with the test. */
export async function startHttpFixture(
  t: TestContext,
  file: string,
  env: Readonly<Record<string, string>> = {},
  options: HttpFixtureOptions = {},
): Promise<HttpFixture> {
  const fixture = await openHttpFixture(file, env, options);
  t.after(() => fixture[Symbol.asyncDispose]());
  return fixture;
}
