// Runs a program of the bundling, and fails with what it said.
import { spawn } from "node:child_process";

interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Resolves with what it prints; its other words go to this terminal. */
export function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, LC_ALL: "C", TZ: "UTC", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said: Buffer[] = [];
    const complained: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => said.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => complained.push(chunk));
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "ENOENT" ? new Error(`${program} is not installed`, { cause: error }) : error),
    );
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(said).toString());
      else
        reject(
          new Error(
            `${program} ${args.join(" ")} ended with ${code}: ${Buffer.concat([...said, ...complained])}`,
          ),
        );
    });
  });
}
