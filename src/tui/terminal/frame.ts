// The shown screen with its first and last line, help and palette over it, and the keys that work on every screen.
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/clock.ts";
import type { Connection } from "./connection.ts";
import { isNamed, type Key, keysOfText } from "./key.ts";
import { cutLine, type Line, lineColumns, type Span, span, spread, type Tone } from "./line.ts";
import { createPalette } from "./palette.ts";
import type { Prompt, PromptState } from "./prompt.ts";
import type { Command, KeyHelp, Screen, ScreenSize } from "./screen.ts";
import { createStore, type Readable } from "./store.ts";
import { noteMark, type View } from "./terminal-style.ts";

export type Frame = ReturnType<typeof createFrame>;

/** What stands over every screen, and its keys, which are those that no screen takes. */
export interface Strip {
  readonly changes: Pick<Readable<unknown>, "subscribe">;
  /** A few lines; they are cut to the width. */
  draw(view: View): readonly Line[];
  onKey(character: string): void;
}

interface FrameOptions {
  readonly screens: readonly [Screen, ...Screen[]];
  /** Key of the screen that is shown first; absent: the first one's. */
  readonly first?: string;
  readonly prompt: Prompt;
  readonly connection: Readable<Connection>;
  readonly strip?: Strip | null;
  /** Something is to be drawn again. */
  readonly onChange: () => void;
  /** Ends what is shown. */
  readonly signal: AbortSignal;
}

/** If leaving by `q` would lose something, the first `q` only warns. */
export function createFrame(options: FrameOptions) {
  const { screens, first, prompt, connection, strip = null, onChange, signal } = options;
  const start = screens.find(({ key }) => key === first) ?? screens[0];
  const { shown, show } = createShown(start, () => keys.turnAway(), signal);
  const overlay = createOverlay(() => frameCommands(screens, show, overlay.openHelp, keys.quit));
  const keys = createFrameKeys({ screens, shown, show, overlay, prompt, strip });
  const draw = createDrawing({ screens, shown, overlay, prompt, connection, strip });
  const changed = (): void => {
    keys.release();
    onChange();
  };
  const unregister = [
    shown.subscribe(onChange),
    prompt.state.subscribe(onChange),
    // Some screens hold keys only while they can be answered.
    connection.subscribe(changed),
    ...screens.map(({ changes }) => changes.subscribe(changed)),
    strip?.changes.subscribe(onChange),
  ];
  const end = (): void => {
    for (const undo of unregister) undo?.();
  };
  signal.addEventListener("abort", end, { once: true });

  return {
    shown,
    /** Brings up the screen of a key. */
    show(key: string): void {
      const screen = screens.find(({ key: own }) => own === key);
      if (screen !== undefined) show(screen);
    },
    /** Whether a person has left. */
    hasLeft: keys.hasLeft,
    /** Takes one key; true: a person leaves. */
    press(key: Key): boolean {
      keys.press(key);
      onChange();
      return keys.hasLeft();
    },
    /** Takes a text that was pasted. */
    paste(text: string): void {
      keys.paste(text);
      onChange();
    },
    /** All lines of the terminal, at most `height`. */
    draw,
    /** Resolves when all that is being saved is answered, with what kept any of it from being saved, or null. */
    async saved(): Promise<string | null> {
      const answers = await Promise.all(screens.map((screen) => screen.saved?.() ?? null));
      return answers.find((answer) => answer !== null) ?? null;
    },
  };
}

/** Keeps which screen is shown. A screen is told when it comes up, with a signal that aborts when it goes. */
function createShown(first: Screen, onShow: () => void, signal: AbortSignal) {
  const shown = createStore<Screen>(first);
  let shownFor = new AbortController();
  const open = (): void => shown.get().open?.(AbortSignal.any([shownFor.signal, signal]));
  open();
  return {
    shown,
    show(screen: Screen): void {
      if (screen === shown.get()) return;
      shownFor.abort();
      shownFor = new AbortController();
      onShow();
      shown.set(screen);
      open();
    },
  };
}

interface KeyParts {
  readonly screens: readonly Screen[];
  readonly shown: Readable<Screen>;
  readonly show: (screen: Screen) => void;
  readonly overlay: ReturnType<typeof createOverlay>;
  readonly prompt: Prompt;
  readonly strip: Strip | null;
}

/** Keys go to the question, to what lies over the screen, to the screen, then to the frame. */
function createFrameKeys({ screens, shown, show, overlay, prompt, strip }: KeyParts) {
  let hasWarned = false;
  let hasLeft = false;
  const isHeld = (): boolean => shown.get().holdsKeys?.() === true;

  const quit = (): void => {
    if (!hasWarned && screens.some((screen) => screen.warnUnsaved?.() === true)) hasWarned = true;
    else hasLeft = true;
  };
  /** A text goes to the shown screen as it is, else key by key. */
  const paste = (text: string): void => {
    const isOnScreen = !overlay.isOpen() && prompt.state.get().question === null;
    if (isOnScreen && isHeld()) held.add({ kind: "paste", text });
    else if (isOnScreen && shown.get().onPaste?.(text) === true) hasWarned = false;
    else for (const key of keysOfText(text)) pressOne(key);
  };
  const pressOne = (key: Key): void => {
    if (prompt.onKey(key) || overlay.onKey(key)) return;
    if (isHeld()) held.add(key);
    else if (shown.get().onKey(key)) hasWarned = false;
    else if (key.kind === "character") pressOnFrame(key.text);
  };
  const pressOnFrame = (text: string): void => {
    if (text === "q") quit();
    else if (text === "?") overlay.openHelp();
    else if (text === ":") overlay.openPalette();
    else {
      const other = screens.find(({ key }) => key === text);
      if (other !== undefined) show(other);
      else strip?.onKey(text);
    }
  };
  const give = (input: Input): void => {
    if (input.kind === "paste") paste(input.text);
    else pressOne(input);
  };
  const held = createHeldInput(isHeld, give);
  /** Nothing overtakes what waits. */
  const take = (input: Input): void => {
    if (held.isEmpty()) give(input);
    else {
      held.add(input);
      held.release();
    }
  };
  return {
    quit,
    hasLeft: (): boolean => hasLeft,
    /** Another screen is shown. */
    turnAway(): void {
      hasWarned = false;
      held.drop();
    },
    /** Ctrl-C leaves at once, whatever waits. */
    press(key: Key): void {
      if (isNamed(key, "quit")) hasLeft = true;
      else take(key);
    },
    paste: (text: string): void => take({ kind: "paste", text }),
    /** Gives the shown screen what has waited for it. */
    release: held.release,
  };
}

interface DrawingParts extends Omit<KeyParts, "show"> {
  readonly connection: Readable<Connection>;
}

function createDrawing({ screens, shown, overlay, prompt, connection, strip }: DrawingParts) {
  let told: { readonly screen: Screen; readonly width: number; readonly height: number } | null = null;
  return (view: ScreenSize): readonly Line[] => {
    const small = tooSmallLines(view);
    if (small !== null) return small;
    const screen = shown.get();
    const below = promptLines(prompt.state.get(), view);
    const above = (strip?.draw(view) ?? []).map((line) => cutLine(line, view.width, view.symbols.ellipsis));
    const header = headerLines(screens, screen, connection.get(), view);
    const around = header.length + above.length + below.length + 1;
    const room: ScreenSize = { ...view, height: view.height - around };
    if (told?.screen !== screen || told.width !== room.width || told.height !== room.height) {
      told = { screen, width: room.width, height: room.height };
      screen.resize?.(room);
    }
    const body = overlay.draw(screen, screens, room) ?? screen.draw(room);
    const cut = body.slice(0, room.height).map((line) => cutLine(line, view.width, view.symbols.ellipsis));
    const air = Array.from({ length: room.height - cut.length }, (): Line => []);
    const isAsked = prompt.state.get().question !== null;
    const hints = isAsked ? ["y yes", "any other key: no"] : (overlay.hints() ?? screen.hints(room));
    return [...header, ...above, ...cut, ...air, ...below, footerLine(hints, view)];
  };
}

function frameCommands(
  screens: readonly Screen[],
  show: (screen: Screen) => void,
  help: () => void,
  quit: () => void,
): readonly Command[] {
  return [
    ...screens.map((screen) => ({ name: `go to ${screen.title}`, run: () => show(screen) })),
    { name: "help", run: help },
    ...screens.flatMap((screen) => screen.commands?.() ?? []),
    { name: "quit", run: quit },
  ];
}

/** The question, else what became of the last action, else what is under way. */
function promptLines({ question, note, running }: PromptState, { width, symbols }: View): readonly Line[] {
  const line = (mark: string, text: string, tone: Tone): Line =>
    cutLine([span(`${mark} `, tone), span(text, tone)], width, symbols.ellipsis);
  if (question !== null) return [line(symbols.warning, question, "warning")];
  const lines: Line[] = [];
  if (note !== null) lines.push(line(noteMark(note.tone, symbols), note.text, note.tone));
  const [first, ...others] = running;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    lines.push(line(symbols.changed, `${first}${more} ${symbols.ellipsis}`, "faint"));
  }
  return lines;
}

/** Kept while a screen saves or loads; nobody types more ahead. */
const HELD_LIMIT = 256;

/** A key, or a text that was pasted. */
type Input = Key | { readonly kind: "paste"; readonly text: string };

/**
 * What was pressed or pasted while the shown screen could not take it, handled in order once it can. `give` handles one; it may make the screen hold
 * what comes after it.
 */
function createHeldInput(isHeld: () => boolean, give: (input: Input) => void) {
  let inputs: readonly Input[] = [];
  let isGiving = false;
  return {
    /** What comes when HELD_LIMIT are kept is dropped. */
    add(input: Input): void {
      if (inputs.length < HELD_LIMIT) inputs = [...inputs, input];
    },
    isEmpty: (): boolean => inputs.length === 0,
    /** Call when another screen is shown: what waited for the one before is not for it, unless it brought it up itself. */
    drop(): void {
      if (!isGiving) inputs = [];
    },
    /** Call at each change. A change made by what is being given waits until that is done. */
    release(): void {
      if (isGiving) return;
      isGiving = true;
      try {
        while (!isHeld()) {
          const [input, ...rest] = inputs;
          if (input === undefined) return;
          inputs = rest;
          give(input);
        }
      } finally {
        isGiving = false;
      }
    },
  };
}

// The first and the last line of every screen, and what stands on a terminal that is too small for one.

const LEAST_WIDTH = 60;
const LEAST_HEIGHT = 15;

type Tab = Pick<Screen, "key" | "title" | "view">;

/**
 * The views with their keys, and how the daemon is; below it the screens of the shown view, where it has several. What
 * is shown stands in brackets, for terminals without colour.
 */
export function headerLines(
  screens: readonly Tab[],
  shown: Tab,
  connection: Connection,
  view: View,
): readonly Line[] {
  const { ellipsis } = view.symbols;
  const firsts = screens.filter((one, at) => screens.findIndex((other) => other.view === one.view) === at);
  const tabs = tabSpans(firsts.map((one) => [one.key, one.view, one.view === shown.view]));
  const whole = [span("Mountaineer ", "strong"), ...tabs];
  const said = connectionSpans(connection, view);
  const fits = (left: Line, right: Line): boolean => lineColumns(left) + lineColumns(right) < view.width;
  const right = [said, said.slice(0, 2)].find((words) => fits(tabs, words)) ?? said.slice(0, 1);
  const left = fits(whole, right) ? whole : tabs;
  const parts = screens.filter((one) => one.view === shown.view);
  const second = tabSpans(parts.map(({ key, title }) => [key, title, key === shown.key]));
  return [
    spread(left, right, view.width, ellipsis),
    ...(parts.length > 1 ? [cutLine(second, view.width, ellipsis)] : []),
  ];
}

function tabSpans(tabs: readonly (readonly [key: string, title: string, isShown: boolean])[]): Line {
  return tabs.flatMap(([key, title, isShown]): Span[] =>
    isShown
      ? [span(`[${key} ${title}]`, "accent")]
      : [span(` ${key} `, "accent"), span(`${title} `, "faint")],
  );
}

/** As many of them as there is room for. */
function connectionSpans(connection: Connection, { symbols }: View): Line {
  switch (connection.kind) {
    case "connecting":
      return [span(symbols.off, "faint"), span(" connecting", "faint")];
    case "connected":
      return [span(symbols.on, "good"), span(" connected", "good")];
    case "waiting":
      return [
        span(symbols.off, "warning"),
        span(" not connected", "warning"),
        span(` since ${localClock(new Date(connection.sinceMs))}`, "warning"),
      ];
  }
}

/** The keys that mean something now, as many as there is room for. */
export function footerLine(hints: readonly string[], { width }: View): Line {
  const fits = (count: number): boolean => columns(hints.slice(0, count).join("  ")) <= width;
  return [span(hints.filter((_, at) => fits(at + 1)).join("  "), "faint")];
}

/** null where there is room enough. */
function tooSmallLines({ width, height, symbols }: ScreenSize): readonly Line[] | null {
  if (width >= LEAST_WIDTH && height >= LEAST_HEIGHT) return null;
  const words = `Too small: needs ${LEAST_WIDTH}×${LEAST_HEIGHT}, has ${width}×${height}. q quits.`;
  const lines: Line[] = [];
  let line = "";
  for (const word of words.replaceAll("×", symbols.times).split(" ")) {
    if (line !== "" && columns(line) + 1 + columns(word) > width) {
      lines.push([span(line, "warning")]);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push([span(line, "warning")]);
  return lines.slice(0, height).map((each) => cutLine(each, width, symbols.ellipsis));
}

// What lies over the shown screen: the help for keys, or the palette.

type OverlayState =
  | { readonly kind: "none" }
  | { readonly kind: "help"; readonly top: number }
  | { readonly kind: "palette" };

function createOverlay(commands: () => readonly Command[]) {
  let state: OverlayState = { kind: "none" };
  const palette = createPalette(commands);
  return {
    isOpen: (): boolean => state.kind !== "none",
    openHelp(): void {
      state = { kind: "help", top: 0 };
    },
    openPalette(): void {
      palette.open();
      state = { kind: "palette" };
    },
    /** False: nothing lies over the screen. */
    onKey(key: Key): boolean {
      if (state.kind === "none") return false;
      if (state.kind === "help") {
        state = helpAfter(state.top, key);
        return true;
      }
      const step = palette.onKey(key);
      if (step.isOver) state = { kind: "none" };
      step.command?.run();
      return true;
    },
    /** null: the screen's own lines are to be seen. */
    draw(shown: Screen, screens: readonly Screen[], size: ScreenSize): readonly Line[] | null {
      if (state.kind === "help") return helpLines(shown, screens, state.top, size);
      return state.kind === "palette" ? palette.draw(size) : null;
    },
    /** The keys that mean something; null: those of the screen. */
    hints(): readonly string[] | null {
      if (state.kind === "help") return ["arrows scroll", "any other key closes"];
      return state.kind === "palette" ? ["type to filter", "Enter runs", "Esc leaves"] : null;
    },
  };
}

function helpAfter(top: number, key: Key): OverlayState {
  if (isNamed(key, "down")) return { kind: "help", top: top + 1 };
  if (isNamed(key, "up")) return { kind: "help", top: Math.max(0, top - 1) };
  return { kind: "none" };
}

const EVERYWHERE: readonly KeyHelp[] = [
  { keys: "?", does: "this help" },
  { keys: ":", does: "the palette: everything by its name" },
  { keys: "q", does: "leave; asks once when something is not saved" },
  { keys: "Ctrl-C", does: "leave at once" },
];

/** From line `top` on, as many as fit. */
function helpLines(
  shown: Screen,
  screens: readonly Screen[],
  top: number,
  { height, symbols }: ScreenSize,
): readonly Line[] {
  const all: Line[] = [
    [span(`Keys of ${shown.title}`, "strong"), span(`  ${shown.about}`, "faint")],
    ...keyLines(shown.keys),
    [],
    [span("Keys everywhere", "strong")],
    ...keyLines([
      ...screens.map(({ key, title, about }) => ({ keys: key, does: `${title}: ${about}` })),
      ...EVERYWHERE,
    ]),
  ];
  const start = Math.max(0, Math.min(top, all.length - height));
  const part = all.slice(start, start + height);
  const isMore = start + height < all.length;
  return isMore ? [...part.slice(0, -1), [span(`${symbols.ellipsis} more below`, "faint")]] : part;
}

function keyLines(keys: readonly KeyHelp[]): readonly Line[] {
  const width = Math.max(0, ...keys.map(({ keys: name }) => columns(name))) + 2;
  return keys.map(({ keys: name, does }) => [span(`  ${padded(name, width)}`, "accent"), span(does)]);
}
