// The demo's end of the pipe to its warden: starts the warden, and sends what to clear.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { childEnvironment } from "../../runtime/process/child-process.ts";
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";

export type WardenMessage =
  | { readonly kind: "stage"; readonly folder: string; readonly home: string }
  | { readonly kind: "started"; readonly identity: ProcessIdentity }
  | { readonly kind: "done" };

/**
 * Starts the warden in a separate session, out of reach of Ctrl-C and of a closed terminal. If the demo ends without
 * `dismiss`, the warden clears the folder.
 */
export function startWarden(stage: { readonly folder: string; readonly home: string }) {
  const program = fileURLToPath(programBeside(import.meta.url, "warden"));
  const child = spawn(process.execPath, [...process.execArgv, program], {
    cwd: "/",
    detached: true,
    env: childEnvironment(),
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  child.stdin.on("error", () => {});
  child.unref();
  const send = (message: WardenMessage): void => {
    child.stdin.write(`${JSON.stringify(message)}\n`);
  };
  send({ kind: "stage", ...stage });
  return {
    started: (identity: ProcessIdentity): void => send({ kind: "started", identity }),
    /** Ends the warden without clearing the folder. Resolves when the warden has ended. */
    dismiss(): Promise<void> {
      send({ kind: "done" });
      child.ref();
      return ended;
    },
  };
}
