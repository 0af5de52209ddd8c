// The actions of the menu as data, and as text where only text can pass (a menu's command line).

const TOGGLES = ["auto_failback", "lsof_recheck"] as const;

/** Settings of `[global]` that the menu switches on and off. */
export type ToggleName = (typeof TOGGLES)[number];

export type MenuAction =
  /** Runs the action of `actionsFor` that has this id. */
  | { readonly kind: "do"; readonly id: readonly string[]; readonly force: boolean }
  | { readonly kind: "toggle"; readonly setting: ToggleName; readonly on: boolean }
  /** Shows each waiting entry in a window, and approves it if the user says yes. */
  | { readonly kind: "approve" }
  /** Asks for a folder of the share in a window, and makes an alias for it. */
  | { readonly kind: "alias-choose"; readonly share: string }
  /** Makes an alias for the folder; `subpath` is relative to the share's root. */
  | { readonly kind: "alias-add"; readonly share: string; readonly subpath: string }
  | { readonly kind: "alias-remove"; readonly alias: string }
  /** Makes and repairs the links of all aliases. */
  | { readonly kind: "alias-repair" }
  /** Opens an absolute path in the desktop's program for it. */
  | { readonly kind: "open"; readonly path: string }
  /** Hides the last failure. */
  | { readonly kind: "dismiss" }
  | { readonly kind: "start" }
  /** Ends the menu; the daemon goes on. */
  | { readonly kind: "quit" };

/** `do/switch/CORE/tb`: letters, digits and `_.-%/` only, whatever the names are; `parseAction` reads it. */
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
  // If `actionOf` has ignored a part of the text, the action's own text differs.
  return action !== null && actionText(action) === text ? action : null;
}

function wordsOf(action: MenuAction): readonly string[] {
  switch (action.kind) {
    case "do":
      return [action.force ? "force" : "do", ...action.id];
    case "toggle":
      return [action.kind, action.setting, action.on ? "on" : "off"];
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
    case "dismiss":
    case "start":
    case "quit":
      return [action.kind];
  }
}

function actionOf([kind, ...words]: readonly string[]): MenuAction | null {
  const [first, second] = words;
  switch (kind) {
    case "do":
    case "force":
      return first ? { kind: "do", id: words, force: kind === "force" } : null;
    case "toggle": {
      const setting = TOGGLES.find((name) => name === first);
      return setting === undefined ? null : { kind, setting, on: second === "on" };
    }
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
    case "dismiss":
    case "start":
    case "quit":
      return { kind };
    default:
      return null;
  }
}

function encodeWord(word: string): string {
  // Lone surrogates are replaced, because they cannot be encoded. Leading and repeated dashes are encoded,
  // because menus and option parsers give them a meaning.
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
