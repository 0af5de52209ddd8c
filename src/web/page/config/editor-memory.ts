// What was typed into the editor and not saved outlives a look at another view.
import type { ConfigReport } from "../../../api/contract.ts";
import { createFormStores } from "../parts/form-store.ts";

/** What the editor began with. */
export type EditorBase = Pick<ConfigReport, "path" | "format" | "sha256" | "text">;

export interface EditorMemory {
  readonly base: EditorBase | null;
  readonly text: string;
}

export const EDITORS = createFormStores<EditorMemory>();

export function isEdited(memory: EditorMemory | null): boolean {
  return memory !== null && memory.base !== null && memory.text !== memory.base.text;
}

const TYPED_SECRET =
  /(?:^|[{,])[ \t]*(?:-[ \t]+)?["']?[\w.-]*(?:passw\w*|secret|token|authorization|key)["']?\s*[=:]\s*["']?(?!\$\{|secret:|["'\s[{#])\S/im;

/** Whether a secret seems to be written out, where a reference to one belongs. */
export function hasTypedSecret(text: string): boolean {
  return TYPED_SECRET.test(text);
}
