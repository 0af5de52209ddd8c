// The actions of the menu as data, and as text where only text can pass (a menu's command line).
import type { SwitchTarget } from "../../api/requests.ts";

const TOGGLES = ["auto_failback", "lsof_recheck"] as const;

/** Settings of `[global]` that the menu switches on and off. */
export type ToggleName = (typeof TOGGLES)[number];

/** `share` and `backend`: null is all of them. */
export type MenuAction =
  | { readonly kind: "mount"; readonly share: string | null }
  | { readonly kind: "unmount"; readonly share: string | null; readonly force: boolean }
  | {
      readonly kind: "switch";
      readonly share: string;
      readonly to: SwitchTarget;
      readonly force: boolean;
    }
  | { readonly kind: "toggle"; readonly setting: ToggleName; readonly on: boolean }
  | { readonly kind: "reload" }
  /** Shows a person each change that waits, in a window of the desktop's, and approves what they say yes to. */
  | { readonly kind: "approve" }
  /** Asks a person for a folder in the share, in a window of the desktop's, and makes an alias for it. */
  | { readonly kind: "alias-choose"; readonly share: string }
  /** Makes an alias for that folder, from the share's root. */
  | { readonly kind: "alias-add"; readonly share: string; readonly subpath: string }
  | { readonly kind: "alias-remove"; readonly alias: string }
  /** Makes and repairs the links of all aliases. */
  | { readonly kind: "alias-repair" }
  | { readonly kind: "restart"; readonly backend: string | null }
  /** `to` is a route's name, or `auto`. */
  | { readonly kind: "route"; readonly backend: string; readonly to: string }
  /** An absolute path, shown by whatever program the desktop has for it. */
  | { readonly kind: "open"; readonly path: string }
  /** Takes away the text of the last failure. */
  | { readonly kind: "dismiss" }
  /** Starts the daemon. */
  | { readonly kind: "start" }
  /** Ends the menu, and nothing else. */
  | { readonly kind: "quit" };

const TARGETS: readonly SwitchTarget[] = ["tb", "fallback", "auto"];
const FORCE = "force";

/** `switch/CORE/tb/force`: letters, digits and `_.-%/` only, whatever the names are; `parseAction` reads it. */
export function actionText(action: MenuAction): string {
  return wordsOf(action).map(encodeWord).join("/");
}

/** null: the text is not an action. */
export function parseAction(text: string): MenuAction | null {
  const words: string[] = [];
  for (const part of text.split("/")) {
    const word = decodeWord(part);
    if (word === null) return null;
    words.push(word);
  }
  const action = actionOf(words);
  // If it does not give the same text again, it holds something that is not understood here.
  return action !== null && actionText(action) === text ? action : null;
}

function wordsOf(action: MenuAction): readonly string[] {
  switch (action.kind) {
    case "mount":
      return [action.kind, ...(action.share === null ? [] : [action.share])];
    case "unmount":
      return [action.kind, action.share ?? "", ...(action.force ? [FORCE] : [])];
    case "switch":
      return [action.kind, action.share, action.to, ...(action.force ? [FORCE] : [])];
    case "toggle":
      return [action.kind, action.setting, action.on ? "on" : "off"];
    case "restart":
      return [action.kind, ...(action.backend === null ? [] : [action.backend])];
    case "route":
      return [action.kind, action.backend, action.to];
    case "open":
      return [action.kind, action.path];
    case "alias-choose":
      return [action.kind, action.share];
    case "alias-add":
      return [action.kind, action.share, action.subpath];
    case "alias-remove":
      return [action.kind, action.alias];
    case "alias-repair":
    case "approve":
    case "reload":
    case "dismiss":
    case "start":
    case "quit":
      return [action.kind];
  }
}

function actionOf([kind, first, second, third]: readonly string[]): MenuAction | null {
  switch (kind) {
    case "mount":
      return { kind, share: first ?? null };
    case "unmount":
      return { kind, share: first || null, force: second === FORCE };
    case "switch": {
      const to = TARGETS.find((target) => target === second);
      return first && to !== undefined ? { kind, share: first, to, force: third === FORCE } : null;
    }
    case "toggle": {
      const setting = TOGGLES.find((name) => name === first);
      return setting === undefined ? null : { kind, setting, on: second === "on" };
    }
    case "restart":
      return { kind, backend: first ?? null };
    case "route":
      return first && second ? { kind, backend: first, to: second } : null;
    case "open":
      return first?.startsWith("/") ? { kind, path: first } : null;
    case "alias-choose":
      return first ? { kind, share: first } : null;
    case "alias-add":
      return first && second ? { kind, share: first, subpath: second } : null;
    case "alias-remove":
      return first ? { kind, alias: first } : null;
    case "alias-repair":
    case "approve":
    case "reload":
    case "dismiss":
    case "start":
    case "quit":
      return { kind };
    default:
      return null;
  }
}

function encodeWord(word: string): string {
  // A lone surrogate cannot be encoded. Dashes in a row, or at the start, mean something to menus and option parsers.
  return encodeURIComponent(word.toWellFormed()).replace(
    /[!'()*~]|^-|-(?=-)/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decodeWord(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
