// Loaded before a command: its pipes pass for a terminal, and with DIES_AT=N it kills itself at its Nth change of a folder.
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

for (const stream of [process.stdin, process.stderr]) Object.defineProperty(stream, "isTTY", { value: true });

let left = Number(process.env["DIES_AT"] ?? Number.POSITIVE_INFINITY);
const functions = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
for (const name of ["rename", "unlink", "rm", "mkdir", "open"]) {
  const real = functions[name];
  functions[name] = (...args) => {
    const isChange = name !== "open" || args[1] === "wx";
    if (isChange) left -= 1;
    if (left === 0) process.kill(process.pid, "SIGKILL");
    return real?.(...args);
  };
}
syncBuiltinESMExports();
