// Network namespaces for one test: with unique names, gone after the test, and programs run inside.
import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import type { Scope } from "./temporary-folder.ts";

const execute = promisify(execFile);
let made = 0;

export interface NetworkNamespace {
  readonly name: string;
  /** Runs `ip -n NAME …` in it. */
  ip(...args: string[]): Promise<string>;
  /** Starts a program in it (the mount namespace stays), ended by SIGKILL after the test if still there. */
  spawn(command: string, args: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable>;
}

/** null when namespaces can be made here, else what is missing. */
export async function namespacesUnavailable(): Promise<string | null> {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = uniqueName();
  try {
    await execute("ip", ["netns", "add", name]);
    await execute("ip", ["netns", "delete", name]);
    return null;
  } catch (error) {
    return `network namespaces cannot be made: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A new namespace with `lo` up and no way out. */
export async function createNetworkNamespace(t: Scope): Promise<NetworkNamespace> {
  const name = uniqueName();
  await execute("ip", ["netns", "add", name]);
  t.after(async () => {
    await execute("ip", ["netns", "delete", name]);
  });
  const ip = async (...args: string[]): Promise<string> =>
    (await execute("ip", ["-n", name, ...args])).stdout;
  await ip("link", "set", "lo", "up");
  return {
    name,
    ip,
    spawn(command, args) {
      const child = spawn("nsenter", [`--net=/run/netns/${name}`, command, ...args], {
        stdio: ["pipe", "pipe", "pipe"],
      });
      const exited = new Promise((resolve) => child.once("exit", resolve));
      t.after(async () => {
        // nsenter becomes the program, so this pid is the program's.
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
        await exited;
      });
      return child;
    },
  };
}

function uniqueName(): string {
  made += 1;
  return `mt-${process.pid}-${made}`;
}
