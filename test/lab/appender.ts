// A program that appends to a file of a carried share and keeps it open.
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ServersScene } from "./servers-scene.ts";

/** Appends a line, flushed, every 50 ms to a file that it keeps open. */
export function startAppender({ mounted }: Pick<ServersScene, "mounted">, name: string) {
  const script =
    "import os, sys, time\n" +
    "f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n" +
    "for n in range(10**6):\n" +
    "    os.write(f, b'line %d\\n' % n); os.fsync(f); print(n, flush=True); time.sleep(0.05)\n";
  const child = spawn("python3", ["-c", script, `${mounted}/${name}`], {
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  let lines = 0;
  let ended = false;
  let wanted = false;
  child.stdout.on("data", (chunk: Buffer) => {
    lines += chunk.toString().split("\n").length - 1;
  });
  const exited = once(child, "exit").then(() => {
    ended = true;
  });
  const end = async (): Promise<number> => {
    wanted = true;
    child.kill("SIGKILL");
    await exited;
    return lines;
  };
  return {
    lines: () => lines,
    failed: () => ended && !wanted,
    end,
    [Symbol.asyncDispose]: async () => void (await end()),
  };
}
