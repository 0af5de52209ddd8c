// What was pressed or pasted while the shown screen could not take it, handled in order once it can.
import type { Key } from "./key.ts";

/** Kept while a screen saves or loads; nobody types more ahead. */
const HELD_LIMIT = 256;

/** A key, or a text that was pasted. */
export type Input = Key | { readonly kind: "paste"; readonly text: string };

/** `give` handles one; it may make the screen hold what comes after it. */
export function createHeldInput(isHeld: () => boolean, give: (input: Input) => void) {
  let inputs: readonly Input[] = [];
  let isGiving = false;
  return {
    /** What comes when HELD_LIMIT are kept is dropped. */
    add(input: Input): void {
      if (inputs.length < HELD_LIMIT) inputs = [...inputs, input];
    },
    isEmpty: (): boolean => inputs.length === 0,
    /** Call when another screen is shown: what waited for the one before is not for it, unless it brought it up itself. */
    drop(): void {
      if (!isGiving) inputs = [];
    },
    /** Call at each change. A change made by what is being given waits until that is done. */
    release(): void {
      if (isGiving) return;
      isGiving = true;
      try {
        while (!isHeld()) {
          const [input, ...rest] = inputs;
          if (input === undefined) return;
          inputs = rest;
          give(input);
        }
      } finally {
        isGiving = false;
      }
    },
  };
}
