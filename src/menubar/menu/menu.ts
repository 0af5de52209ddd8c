// The menu as data, before SwiftBar or xbar draws it.
import type { Tone } from "../../api/labels/label.ts";
import type { MenuAction } from "./action.ts";

/** The health of everything together. */
export type MenuState = "healthy" | "tb_ready" | "degraded" | "down";

interface Labelled {
  /** One line for people, without control characters. */
  readonly label: string;
  readonly tone: Tone;
}

export type MenuItem =
  | { readonly kind: "separator" }
  | ({ readonly kind: "text" } & Labelled)
  | ({ readonly kind: "action"; readonly action: MenuAction; readonly enabled: boolean } & Labelled)
  | ({ readonly kind: "submenu"; readonly items: readonly MenuItem[] } & Labelled);

export interface Menu {
  readonly state: MenuState;
  readonly summary: string;
  readonly items: readonly MenuItem[];
}
