// Gives the terminal to the person's editor, and takes it back when that has ended.
import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { MountaineerError } from "../../runtime/errors.ts";
import { openEditedCopy } from "../../runtime/process/editor.ts";

/**
 * Resolves with the text as the person left it; `name` is the copy's. Rejects with `program_unavailable` when the editor
 * fails or leaves no UTF-8, and with the program's end; what was written is then kept, and the error's hint says where.
 */
export type EditText = (name: string, text: string) => Promise<string>;

export interface LentTerminal {
  readonly edit: EditText;
  /** What is under way, or was ended by the signal: what is typed meanwhile is the editor's. */
  editing: Promise<string> | null;
  /** How the view gives the terminal away, until disposal; null: it is not there yet. */
  suspend: (() => Promise<AsyncDisposable>) | null;
}

/** `yieldInterrupts`: until disposal Ctrl-C is another program's. */
export function createLentTerminal(yieldInterrupts: () => Disposable, signal: AbortSignal): LentTerminal {
  const lent: LentTerminal = {
    editing: null,
    suspend: null,
    edit(name, text) {
      const editing = edited(name, text).finally(() => {
        if (!signal.aborted) lent.editing = null;
      });
      lent.editing = editing;
      return editing;
    },
  };
  const edited: EditText = async (name, text) => {
    const copy = await openEditedCopy(name, new TextEncoder().encode(text));
    try {
      const bytes = await whileAway(() => copy.edit(signal));
      const written = bytes === null ? null : textOf(bytes);
      await copy.discard();
      if (written !== null) return written;
    } catch (error) {
      throw withPlace(error, await copy.keepWritten());
    }
    throw new MountaineerError("program_unavailable", "the editor removed its copy: nothing was changed");
  };
  const whileAway = async <T>(work: () => Promise<T>): Promise<T> => {
    using _interrupts = yieldInterrupts();
    await using _away = await lent.suspend?.();
    // What is typed is the editor's. A pause ends the reading only a turn after the view has let go of the input.
    await setImmediate();
    process.stdin.pause();
    return await work();
  };
  return lent;
}

/** What is no text would be replaced by signs that nobody wrote. */
function textOf(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  throw new MountaineerError("program_unavailable", "what the editor left is not UTF-8: nothing was changed");
}

function withPlace(error: unknown, kept: string | null): unknown {
  if (kept === null || !(error instanceof MountaineerError)) return error;
  return new MountaineerError(error.code, error.message, { hint: `what you wrote is kept in ${kept}` });
}
