// The menu as data, before a desktop draws it.
import type { Tone } from "../../api/labels/label.ts";
import type { MenuAction } from "./action.ts";

/** The health of everything together. */
export type MenuState = "healthy" | "tb_ready" | "degraded" | "down";

interface Labelled {
  /** Unique in a menu, and stable as long as the item means the same, so that a click never hits another item. */
  readonly key: string;
  /** One line for people, without control characters. */
  readonly label: string;
  readonly tone: Tone;
}

export type MenuItem =
  | { readonly kind: "separator"; readonly key: string }
  | ({ readonly kind: "text" } & Labelled)
  | ({ readonly kind: "action"; readonly action: MenuAction; readonly enabled: boolean } & Labelled)
  | ({ readonly kind: "submenu"; readonly items: readonly MenuItem[] } & Labelled);

export interface Menu {
  readonly state: MenuState;
  readonly summary: string;
  readonly items: readonly MenuItem[];
}

/** Also looks in submenus. */
export function findItem(items: readonly MenuItem[], key: string): MenuItem | null {
  for (const item of items) {
    if (item.key === key) return item;
    const found = item.kind === "submenu" ? findItem(item.items, key) : null;
    if (found !== null) return found;
  }
  return null;
}
