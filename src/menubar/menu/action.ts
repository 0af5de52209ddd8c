// The actions of the menu as data, and as text where only text can pass (a menu's command line).
import { valueOr } from "../../runtime/errors.ts";

export type MenuAction =
  /** Runs the action of `actionsFor` that has this id. */
  | { readonly kind: "do"; readonly id: readonly string[]; readonly force: boolean }
  /** Opens an absolute path in the desktop's program for it. */
  | { readonly kind: "open"; readonly path: string }
  | (typeof BARE)[number];

/** Opens the page in the browser, starts the daemon, and ends the menu, not the daemon. */
const BARE = [{ kind: "dashboard" }, { kind: "start" }, { kind: "quit" }] as const;

/** `do/switch/CORE/tb`: letters, digits and `_.-%/` only, whatever the names are; `parseAction` reads it. */
export function actionText(action: MenuAction): string {
  return partsOf(action).map(encodePart).join("/");
}

/** null: the text is not an action. */
export function parseAction(text: string): MenuAction | null {
  const decodedArgs: string[] = [];
  for (const part of text.split("/")) {
    const decoded = decodeWord(part);
    if (decoded === null) return null;
    decodedArgs.push(decoded);
  }
  const action = actionOf(decodedArgs);
  // If `actionOf` has ignored a part of the text, the action's own text differs.
  return action !== null && actionText(action) === text ? action : null;
}

function partsOf(action: MenuAction): readonly string[] {
  if (action.kind === "do") return [action.force ? "force" : "do", ...action.id];
  return action.kind === "open" ? [action.kind, action.path] : [action.kind];
}

function actionOf([kind, ...args]: readonly string[]): MenuAction | null {
  const [first] = args;
  if (kind === "do" || kind === "force")
    return first ? { kind: "do", id: args, force: kind === "force" } : null;
  if (kind === "open") return first?.startsWith("/") ? { kind, path: first } : null;
  return BARE.find((one) => one.kind === kind) ?? null;
}

function encodePart(text: string): string {
  // Lone surrogates are replaced, because they cannot be encoded. Leading and repeated dashes are encoded,
  // because menus and option parsers give them a meaning.
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*~]|^-|-(?=-)/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decodeWord(part: string): string | null {
  return valueOr(() => decodeURIComponent(part), null);
}
