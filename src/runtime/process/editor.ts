// Runs the user's own editor on a private copy of a text. The editor has the terminal to itself.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";
import { isProgram } from "./find-program.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export type EditedCopy = Awaited<ReturnType<typeof openEditedCopy>>;

/** `name`: the copy's file name, whose extension tells the editor the format. Rejects with `program_unavailable`. */
export async function openEditedCopy(name: string, begun: Uint8Array) {
  const path = await writeCopy(name, begun);
  const discard = (): Promise<void> => rm(dirname(path), { recursive: true, force: true });
  return {
    /**
     * Resolves with the content once the editor has exited with 0; null: the copy was removed. Rejects with
     * `program_unavailable` when the editor cannot be started or fails. `signal` ends the editor and rejects.
     */
    async edit(signal: AbortSignal): Promise<Uint8Array | null> {
      await runEditor(path, signal);
      return readFile(path).catch(recoverFrom("ENOENT", null));
    },
    discard,
    /** Resolves with the copy's path if it was changed; else removes the copy and resolves with null. */
    async keepWritten(): Promise<string | null> {
      const bytes = await readFile(path).catch(() => null);
      if (bytes !== null && Buffer.compare(bytes, begun) !== 0) return path;
      await discard();
      return null;
    },
  };
}

async function writeCopy(name: string, begun: Uint8Array): Promise<string> {
  try {
    // Private, because the text may contain a password until the check refuses it.
    const path = join(await mkdtemp(join(tmpdir(), "mountaineer-edit-")), name);
    await writeFile(path, begun, { mode: 0o600 });
    return path;
  } catch (cause) {
    const message = `no copy can be made for the editor: ${errorText(cause)}`;
    const hint = "free some space there, or set TMPDIR to another folder";
    throw new MountaineerError("program_unavailable", message, { cause, hint });
  }
}

const ARGUMENT = /(?:"[^"]*"|'[^']*'|\\.|[^\s"'\\])+/g;
const QUOTED = /"([^"]*)"|'([^']*)'|\\(.)/g;

/** $VISUAL, else $EDITOR, else vi: a program's path as it is, else words as in a shell, which may be quoted. */
export async function editorCommand({ VISUAL, EDITOR }: Environment): Promise<[string, ...string[]]> {
  const named = VISUAL?.trim() || EDITOR?.trim() || "vi";
  if (await isProgram(named)) return [named];
  const [program = "vi", ...args] = (named.match(ARGUMENT) ?? []).map((arg) => arg.replace(QUOTED, "$1$2$3"));
  return [program, ...args];
}

async function runEditor(file: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const [program, ...args] = await editorCommand(process.env);
  const name = basename(program);
  const child = spawn(program, [...args, file], { stdio: "inherit", shell: false });
  const onAbort = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const [code, endedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (exitCode, exitSignal) => resolve([exitCode, exitSignal]));
    });
    // A Ctrl-C goes to both processes, and the child's exit may be delivered before this process's own signal.
    await setImmediate();
    signal.throwIfAborted();
    if (code === 0) return;
    throw failed(`the editor ${name} ended with ${code ?? endedBy}`);
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
