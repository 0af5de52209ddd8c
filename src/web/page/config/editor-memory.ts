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

/** The server at whose entry the editor opens next; null: none. */
export const WANTED = createFormStores<{ readonly server: string | null }>();

/** The line of a server's entry, from 1; null: the text has none, or names it in another way. */
export function lineOfServer(text: string, server: string, format: EditorBase["format"]): number | null {
  const entry = format === "toml" ? `[backends.${server}]` : `${server}:`;
  const at = text.split("\n").findIndex((line) => line.replace(/[\s"']/g, "").startsWith(entry));
  return at === -1 ? null : at + 1;
}

export function isEdited(memory: EditorMemory | null): boolean {
  return memory !== null && memory.base !== null && memory.text !== memory.base.text;
}

const TYPED_SECRET =
  /(?:^|[{,])[ \t]*(?:-[ \t]+)?["']?[\w.-]*(?:passw\w*|secret|token|authorization|key)["']?\s*[=:]\s*["']?(?!\$\{|secret:|["'\s[{#])\S/im;

/** True if a secret seems to be written out where a reference to one belongs. */
export function hasTypedSecret(text: string): boolean {
  return TYPED_SECRET.test(text);
}
