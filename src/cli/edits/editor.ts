// Starts the user's editor, without a shell and with the terminal to itself.
import { spawn } from "node:child_process";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import type { CommandContext } from "../input/command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** $VISUAL, else $EDITOR, else vi; spaces part its arguments. */
export function editorCommand({ VISUAL, EDITOR }: Environment): readonly [string, ...string[]] {
  const [program = "vi", ...args] = (VISUAL?.trim() || EDITOR?.trim() || "vi").split(/\s+/);
  return [program, ...args];
}

/**
 * Resolves when the editor has ended well. Rejects with `program_unavailable` when it cannot be started, or ends badly,
 * and with the signal's reason, which ends it. Ctrl-C is the editor's meanwhile.
 */
export async function runEditor(
  file: string,
  { signal, yieldInterrupts }: Pick<CommandContext, "signal" | "yieldInterrupts">,
): Promise<void> {
  signal.throwIfAborted();
  const [program, ...args] = editorCommand(process.env);
  using _interrupts = yieldInterrupts();
  const child = spawn(program, [...args, file], { stdio: "inherit", shell: false });
  const onAbort = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const [code, endedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (exitCode, exitSignal) => resolve([exitCode, exitSignal]));
    });
    signal.throwIfAborted();
    if (code === 0) return;
    throw failed(`the editor ${program} ended with ${code ?? endedBy}`);
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const reason = systemErrorCode(error);
    if (reason === null) throw error;
    throw failed(
      `the editor ${program} cannot be started: ${reason === "ENOENT" ? "there is none of that name" : reason}`,
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function failed(message: string): MountaineerError {
  return new MountaineerError("program_unavailable", `${message}; nothing was written`, {
    hint: "set VISUAL or EDITOR to the editor that you use",
  });
}
