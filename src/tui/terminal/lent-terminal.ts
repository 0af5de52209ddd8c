// Lends the terminal to the user's editor until the editor ends.
import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { MountaineerError } from "../../runtime/errors.ts";
import { openEditedCopy } from "../../runtime/process/editor.ts";

/**
 * Resolves with the edited text; `name` is the file name of the copy that is edited. Rejects if the editor fails or
 * its text is not UTF-8 (`program_unavailable`), or if Mountaineer ends; the hint then names the file that keeps the
 * edited text.
 */
export type EditText = (name: string, text: string) => Promise<string>;

export interface LentTerminal {
  readonly edit: EditText;
  /**
   * The edit under way, during which keys are for the editor; null: none. Not reset after the signal has
   * aborted.
   */
  editing: Promise<string> | null;
  /** Makes the view release the terminal until the result is disposed; null before the view is drawn. */
  suspend: (() => Promise<AsyncDisposable>) | null;
}

/** `yieldInterrupts` leaves Ctrl-C to another program until the object that it returns is disposed. */
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
    // Leaves the keys to the editor. `pause` has an effect only one turn of the event loop after the view has
    // released the input.
    await setImmediate();
    process.stdin.pause();
    return await work();
  };
  return lent;
}

/** Refuses other encodings: decoding would replace bytes by characters that nobody has typed. */
function textOf(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  throw new MountaineerError("program_unavailable", "what the editor left is not UTF-8: nothing was changed");
}

function withPlace(error: unknown, kept: string | null): unknown {
  if (kept === null || !(error instanceof MountaineerError)) return error;
  return new MountaineerError(error.code, error.message, { hint: `what you wrote is kept in ${kept}` });
}
