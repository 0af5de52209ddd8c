// The actions of the menu as data, and as text where only text can pass (a menu's command line).

export type MenuAction =
  /** Runs the action of `actionsFor` that has this id. */
  | { readonly kind: "do"; readonly id: readonly string[]; readonly force: boolean }
  /** Opens the dashboard in the browser. */
  | { readonly kind: "dashboard" }
  /** Opens an absolute path in the desktop's program for it. */
  | { readonly kind: "open"; readonly path: string }
  /** Hides the last failure. */
  | { readonly kind: "dismiss" }
  | { readonly kind: "start" }
  /** Ends the menu; the daemon keeps running. */
  | { readonly kind: "quit" };

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
  switch (action.kind) {
    case "do":
      return [action.force ? "force" : "do", ...action.id];
    case "open":
      return [action.kind, action.path];
    case "dashboard":
    case "dismiss":
    case "start":
    case "quit":
      return [action.kind];
  }
}

function actionOf([kind, ...args]: readonly string[]): MenuAction | null {
  const [first] = args;
  switch (kind) {
    case "do":
    case "force":
      return first ? { kind: "do", id: args, force: kind === "force" } : null;
    case "open":
      return first?.startsWith("/") ? { kind, path: first } : null;
    case "dashboard":
    case "dismiss":
    case "start":
    case "quit":
      return { kind };
    default:
      return null;
  }
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
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
