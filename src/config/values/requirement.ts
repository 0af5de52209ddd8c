// A backend's requirement: a whole share, or a folder inside it; perhaps only while the share is on a route.
import { trimEnd } from "../../runtime/text/trim-end.ts";
import { parseShareName, parseSubpath, type WrongText } from "./names.ts";

export interface ShareRequirement {
  readonly share: string;
  /** The folder's path from the share's root, without a slash at either end; null: the whole share. */
  readonly folder: string | null;
  /** The route that the share must be on; absent: any. */
  readonly route?: RequiredRoute;
}

type RequiredRoute = "tb" | "fallback";

/** The names of routes, as people type them. */
export const ROUTES_BY_NAME: Readonly<Record<string, RequiredRoute>> = {
  thunderbolt: "tb",
  tb: "tb",
  fallback: "fallback",
};

export const REQUIREMENT_EXPECTED =
  "the name of a share, or of a share and a folder in it, such as `CORE` or `CORE:/dev/projects`";

export type RequirementReading = { readonly ok: true; readonly value: ShareRequirement } | WrongText;

/** Reads `CORE` or `CORE:/dev/projects`. */
export function parseRequirement(text: string): RequirementReading {
  const colon = text.indexOf(":/");
  const share = parseShareName(colon === -1 ? text : text.slice(0, colon));
  if (!share.ok) return { ...share, expected: REQUIREMENT_EXPECTED };
  const inside = colon === -1 ? "" : trimEnd(text.slice(colon + 2), "/");
  const folder = inside === "" ? ({ ok: true, value: null } as const) : parseSubpath(inside);
  return folder.ok ? { ok: true, value: { share: share.value, folder: folder.value } } : folder;
}

/** `CORE` or `CORE:/dev/projects`. */
export function requirementText({ share, folder }: Pick<ShareRequirement, "share" | "folder">): string {
  return folder === null ? share : `${share}:/${folder}`;
}

/** The share in a text that `requirementText` returned. */
export function requiredShare(text: string): string {
  const colon = text.indexOf(":/");
  return colon === -1 ? text : text.slice(0, colon);
}
