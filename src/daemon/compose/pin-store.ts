// The sealed files of tool pins, of the names that clients have used, of the servers' lists, and of clients' grants. The seal detects
// changes by other programs.
import type { ListStore } from "../../gateway/backends/list-cache/list-cache.ts";
import type { StoredPins } from "../../gateway/pins/pin-store.ts";
import { errorText } from "../../runtime/errors.ts";
import type { SealedFile, SealedFileOptions } from "../../secrets/sealed-file.ts";

/** Short, because clients wait for the gateway's start; a slower keyring is asked again later. */
const LIMITS = { deadlineMs: 2_000 };

export type SealedName = "pins" | "names" | "lists" | "grants";

interface PinStoreOptions extends Omit<SealedFileOptions, "name"> {
  /** Once aborted, no write replaces the file. */
  readonly signal?: AbortSignal;
}

/** The store in a sealed file. With `writes` false, for commands that only read, `write` does nothing. */
export function sealedPinStore(
  { signal, ...options }: PinStoreOptions,
  writes: boolean,
  name: SealedName = "pins",
): ListStore {
  let opened: SealedFile | null = null;
  const file = async (): Promise<SealedFile> => {
    const { openSealedFile } = await import("../../secrets/sealed-file.ts");
    opened ??= openSealedFile({ ...options, name });
    return opened;
  };
  return {
    async read(): Promise<StoredPins> {
      try {
        const sealed = await file();
        const content = await sealed.read(LIMITS);
        if (content.state === "never") return { kind: "none" };
        if (content.state === "sound") return { kind: "stored", value: content.value };
        if (content.state === "missing") return { kind: "untrusted", reason: `${sealed.path} is gone` };
        const { claimed, reason } = content;
        return content.state === "unsound"
          ? { kind: "untrusted", reason: `${sealed.path}: ${reason}`, claimed }
          : { kind: "unanswered", reason: `the keyring gives no answer: ${reason}`, claimed };
      } catch (error) {
        return { kind: "unanswered", reason: errorText(error) };
      }
    },
    secret: async (mayMake = writes) => (await file()).key(LIMITS, mayMake),
    async write(value) {
      if (writes) await (await file()).write(value, { ...LIMITS, signal });
    },
  };
}
