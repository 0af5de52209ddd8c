// The pins of tools in the home, and the names that clients have used: a sealed file each, so that what somebody else wrote
// there is not taken for ours.
import type { KeptPins, PinStore } from "../../gateway/pins/pin-store.ts";
import { errorText } from "../../runtime/errors.ts";
import type { SealedFile, SealedFileOptions } from "../../secrets/sealed-file.ts";

/** A keyring that is slower is asked again later: clients wait for the gateway's start. */
const LIMITS = { deadlineMs: 2_000 };

/** Aborted, it replaces nothing any more. */
interface PinStoreOptions extends Omit<SealedFileOptions, "name"> {
  readonly signal?: AbortSignal;
}

/** `writes` false: for a command that only looks. */
export function sealedPinStore(
  { signal, ...options }: PinStoreOptions,
  writes: boolean,
  name: "pins" | "names" = "pins",
): PinStore {
  let opened: SealedFile | null = null;
  const file = async (): Promise<SealedFile> => {
    const { openSealedFile } = await import("../../secrets/sealed-file.ts");
    opened ??= openSealedFile({ ...options, name });
    return opened;
  };
  return {
    async read(): Promise<KeptPins> {
      try {
        const sealed = await file();
        const content = await sealed.read(LIMITS);
        switch (content.state) {
          case "never":
            return { kind: "none" };
          case "sound":
            return { kind: "kept", value: content.value };
          case "missing":
            return { kind: "untrusted", reason: `${sealed.path} is gone` };
          case "unsound":
            return {
              kind: "untrusted",
              reason: `${sealed.path}: ${content.reason}`,
              claimed: content.claimed,
            };
          case "unverifiable":
            return {
              kind: "unanswered",
              reason: `the keyring gives no answer: ${content.reason}`,
              claimed: content.claimed,
            };
        }
      } catch (error) {
        return { kind: "unanswered", reason: errorText(error) };
      }
    },
    async write(value) {
      if (writes) await (await file()).write(value, { ...LIMITS, signal });
    },
  };
}
