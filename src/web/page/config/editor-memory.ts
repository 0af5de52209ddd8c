// The editor's unsaved text, which outlives a change of view.
import type { ConfigReport } from "../../../api/contract/config.ts";
import { createFormStores } from "../parts/form-store.ts";

/** The file as it was when the editing began. */
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

/** True if a secret seems to be written out where a reference to one belongs. */
export function hasTypedSecret(text: string): boolean {
  return TYPED_SECRET.test(text);
}
