// A backend's requirement: a whole share, or a folder inside it.
import { trimEnd } from "../../runtime/text/trim-end.ts";
import { parseShareName, parseSubpath, type TextReading } from "./names.ts";

export interface ShareRequirement {
  readonly share: string;
  /** The folder's path from the share's root, without a slash at either end; null: the whole share. */
  readonly folder: string | null;
}

export const REQUIREMENT_EXPECTED =
  "the name of a share, or of a share and a folder in it, such as `CORE` or `CORE:/dev/projects`";

/** Reads `CORE` or `CORE:/dev/projects`; the value is in the normal form that `requirementOf` reads. */
export function parseRequirement(text: string): TextReading {
  const colon = text.indexOf(":/");
  const share = parseShareName(colon === -1 ? text : text.slice(0, colon));
  if (!share.ok) return { ...share, expected: REQUIREMENT_EXPECTED };
  const inside = colon === -1 ? "" : trimEnd(text.slice(colon + 2), "/");
  if (inside === "") return { ok: true, value: share.value };
  const folder = parseSubpath(inside);
  if (!folder.ok) return folder;
  return { ok: true, value: requirementText({ share: share.value, folder: folder.value }) };
}

/** The text of a requirement, in the normal form that `requirementOf` reads. */
export function requirementText({ share, folder }: ShareRequirement): string {
  return folder === null ? share : `${share}:/${folder}`;
}

/** The meaning of a text that `parseRequirement` returned. */
export function requirementOf(text: string): ShareRequirement {
  const colon = text.indexOf(":/");
  return colon === -1
    ? { share: text, folder: null }
    : { share: text.slice(0, colon), folder: text.slice(colon + 2) };
}
