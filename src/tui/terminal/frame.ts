// The shown screen with its first and last lines, the help over it, and the keys that work everywhere.

import type { ConnectionStatus } from "../../api/client/daemon-connection.ts";
import { createStore, type Readable } from "../../runtime/store.ts";
import { toneMark } from "../../runtime/text/paint.ts";
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/clock.ts";
import { isNamed, type Key, keysOfText } from "./key.ts";
import {
  cutLine,
  type Line,
  lineColumns,
  paragraph,
  type Span,
  span,
  spread,
  type Tone,
  type View,
} from "./line.ts";
import { detailsPart, type ScrollPosition } from "./list-state.ts";
import type { Prompt, PromptState } from "./prompt.ts";
import type { KeyHelp, Screen, ScreenSize, ShellLine } from "./screen.ts";

export type Frame = ReturnType<typeof createFrame>;

/** Lines above every screen, with keys that no screen uses. */
export interface Strip {
  readonly changes: Pick<Readable<unknown>, "subscribe">;
  /** A few lines; the frame cuts them to the width. */
  draw(view: View): readonly Line[];
  onKey(character: string): void;
}

interface FrameOptions {
  readonly screens: readonly [Screen, ...Screen[]];
  /** Key of the screen to show first; absent: the first screen. */
  readonly first?: string;
  readonly prompt: Prompt;
  readonly connection: Readable<ConnectionStatus>;
  readonly strip?: Strip | null;
  /** Called when something must be drawn again. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
}

export function createFrame(options: FrameOptions) {
  const { screens, first, prompt, connection, strip = null, onChange, signal } = options;
  const start = screens.find(({ key }) => key === first) ?? screens[0];
  const { shown, show } = createShown(start, () => keys.onSwitch(), signal);
  const overlay = createOverlay();
  const keys = createFrameKeys({ screens, shown, show, overlay, prompt, strip });
  const draw = createDrawing({ screens, shown, overlay, prompt, connection, strip });
  const changed = (): void => {
    keys.release();
    onChange();
  };
  const unregister = [
    shown.subscribe(onChange),
    prompt.state.subscribe(onChange),
    // When the connection is lost, queued keys may be released: some screens queue keys only while a daemon is
    // connected.
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
    show(key: string): void {
      const screen = screens.find(({ key: own }) => own === key);
      if (screen !== undefined) show(screen);
    },
    hasLeft: keys.hasLeft,
    /** Handles one key; returns true if the user leaves. */
    press(key: Key): boolean {
      keys.press(key);
      onChange();
      return keys.hasLeft();
    },
    paste(text: string): void {
      keys.paste(text);
      onChange();
    },
    draw,
    /** Resolves when the saves under way are answered: with the reason why one has failed, or null. */
    async saved(): Promise<string | null> {
      const answers = await Promise.all(screens.map((screen) => screen.saved?.() ?? null));
      return answers.find((answer) => answer !== null) ?? null;
    },
  };
}

/** The shown screen. `open` of a screen gets a signal that aborts when another one is shown. */
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

/**
 * Passes each key to the open question, else to the help, else to the screen, else to the frame.
 */
function createFrameKeys({ screens, shown, show, overlay, prompt, strip }: KeyParts) {
  let hasWarned = false;
  let hasLeft = false;
  const isQueued = (): boolean => shown.get().queuesKeys?.() === true;

  /** Leaves. If that would lose unsaved changes, the first call only warns. */
  const quit = (): void => {
    if (!hasWarned && screens.some((screen) => screen.warnUnsaved?.() === true)) hasWarned = true;
    else hasLeft = true;
  };
  const paste = (text: string): void => {
    const isOnScreen = !overlay.isOpen() && prompt.state.get().question === null;
    if (isOnScreen && isQueued()) queued.add({ kind: "paste", text });
    else for (const key of keysOfText(text)) pressOne(key);
  };
  const pressOne = (key: Key): void => {
    if (prompt.onKey(key) || overlay.onKey(key)) return;
    if (isQueued()) queued.add(key);
    else if (shown.get().onKey(key)) hasWarned = false;
    else if (key.kind === "character") pressOnFrame(key.text);
  };
  const pressOnFrame = (text: string): void => {
    if (text === "q") quit();
    else if (text === "?") overlay.open("help");
    else if (text === "$") overlay.open("shells");
    else {
      // In the demo, numbers pull and plug its cables.
      const numbered = strip ? undefined : firstOfViews(screens)[Number(text) - 1];
      const other = screens.find(({ key }) => key === text) ?? numbered;
      if (other !== undefined) show(other);
      else strip?.onKey(text);
    }
  };
  const handle = (input: Input): void => {
    if (input.kind === "paste") paste(input.text);
    else pressOne(input);
  };
  const queued = createQueuedInput(isQueued, handle);
  const take = (input: Input): void => {
    if (queued.isEmpty()) handle(input);
    else {
      queued.add(input);
      queued.release();
    }
  };
  return {
    quit,
    hasLeft: (): boolean => hasLeft,
    onSwitch(): void {
      hasWarned = false;
      queued.drop();
    },
    /** Ctrl-C leaves at once, even if input is queued. */
    press(key: Key): void {
      if (isNamed(key, "quit")) hasLeft = true;
      else take(key);
    },
    paste: (text: string): void => take({ kind: "paste", text }),
    /** Handles the input that was queued for the shown screen. */
    release: queued.release,
  };
}

interface DrawingParts extends Omit<KeyParts, "show"> {
  readonly connection: Readable<ConnectionStatus>;
}

function createDrawing({ screens, shown, overlay, prompt, connection, strip }: DrawingParts) {
  /** Screen and size of the last call of `resize`. */
  let sized: { readonly screen: Screen; readonly width: number; readonly height: number } | null = null;
  return (view: ScreenSize): readonly Line[] => {
    const small = tooSmallLines(view);
    if (small !== null) return small;
    const screen = shown.get();
    const below = promptLines(prompt.state.get(), view);
    const above = (strip?.draw(view) ?? []).map((line) => cutLine(line, view.width, view.symbols.ellipsis));
    const header = headerLines(screens, screen, connection.get(), view);
    const around = header.length + above.length + below.length + 1;
    const inner: ScreenSize = { ...view, height: view.height - around };
    if (sized?.screen !== screen || sized.width !== inner.width || sized.height !== inner.height) {
      sized = { screen, width: inner.width, height: inner.height };
      screen.resize?.(inner);
    }
    const body = overlay.draw(screen, screens, inner) ?? screen.draw(inner);
    const cut = body.slice(0, inner.height).map((line) => cutLine(line, view.width, view.symbols.ellipsis));
    const blankLines = Array.from({ length: inner.height - cut.length }, (): Line => []);
    const hasQuestion = prompt.state.get().question !== null;
    const hints = hasQuestion ? ["y yes", "any other key: no"] : (overlay.hints() ?? screen.hints(inner));
    return [...header, ...above, ...cut, ...blankLines, ...below, footerLine(hints, view)];
  };
}

/** The open question, else the result of the last action and the running actions. */
function promptLines({ question, notice, running }: PromptState, { width, symbols }: View): readonly Line[] {
  const line = (mark: string, text: string, tone: Tone): Line =>
    cutLine([span(`${mark} `, tone), span(text, tone)], width, symbols.ellipsis);
  if (question !== null) return [line(symbols.warning, question, "warning")];
  const lines: Line[] = [];
  if (notice !== null)
    lines.push(
      line(notice.tone === "good" ? symbols.good : toneMark(notice.tone, symbols), notice.text, notice.tone),
    );
  const [first, ...others] = running;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    lines.push(line(symbols.changed, `${first}${more} ${symbols.ellipsis}`, "faint"));
  }
  return lines;
}

/** Inputs that are queued while a screen saves or loads; further inputs are dropped. */
const QUEUED_LIMIT = 256;

type Input = Key | { readonly kind: "paste"; readonly text: string };

/**
 * Input that arrives while the shown screen holds keys back; handled in order afterwards. `handle` may make the screen hold
 * keys back again.
 */
function createQueuedInput(isQueued: () => boolean, handle: (input: Input) => void) {
  let inputs: readonly Input[] = [];
  let isReleasing = false;
  return {
    add(input: Input): void {
      if (inputs.length < QUEUED_LIMIT) inputs = [...inputs, input];
    },
    isEmpty: (): boolean => inputs.length === 0,
    /** Drops the inputs queued for the previous screen, unless one of them has just switched the screen. */
    drop(): void {
      if (!isReleasing) inputs = [];
    },
    /** Call at each change of the screen. Calls from within `handle` have no effect. */
    release(): void {
      if (isReleasing) return;
      isReleasing = true;
      try {
        while (!isQueued()) {
          const [input, ...rest] = inputs;
          if (input === undefined) return;
          inputs = rest;
          handle(input);
        }
      } finally {
        isReleasing = false;
      }
    },
  };
}

// The first and the last line of every screen, and the text for a terminal that is too small.

const LEAST_WIDTH = 60;
const LEAST_HEIGHT = 15;

type Tab = Pick<Screen, "key" | "title" | "view">;

/**
 * The views with their keys, and the state of the connection; below them, the screens of the shown view if it has
 * several. Brackets mark the shown view and screen, for terminals without colour.
 */
export function headerLines(
  screens: readonly Tab[],
  shown: Tab,
  connection: ConnectionStatus,
  view: View,
): readonly Line[] {
  const { ellipsis } = view.symbols;
  const firsts = firstOfViews(screens);
  const tabs = tabSpans(firsts.map((one) => [one.key, one.view, one.view === shown.view]));
  const whole = [span("Mountaineer ", "strong"), ...tabs];
  const status = connectionSpans(connection, view);
  const fits = (left: Line, right: Line): boolean => lineColumns(left) + lineColumns(right) < view.width;
  const right = [status, status.slice(0, 2)].find((spans) => fits(tabs, spans)) ?? status.slice(0, 1);
  const left = fits(whole, right) ? whole : tabs;
  const parts = screens.filter((one) => one.view === shown.view);
  const second = tabSpans(parts.map(({ key, title }) => [key, title, key === shown.key]));
  return [
    spread(left, right, view.width, ellipsis),
    ...(parts.length > 1 ? [cutLine(second, view.width, ellipsis)] : []),
  ];
}

/** The first screen of each view, in the order of the views. */
function firstOfViews<One extends Tab>(screens: readonly One[]): readonly One[] {
  return screens.filter((one, at) => screens.findIndex((other) => other.view === one.view) === at);
}

function tabSpans(tabs: readonly (readonly [key: string, title: string, isShown: boolean])[]): Line {
  return tabs.flatMap(([key, title, isShown]): Span[] =>
    isShown
      ? [span(`[${key} ${title}]`, "accent")]
      : [span(` ${key} `, "accent"), span(`${title} `, "faint")],
  );
}

/** Drawn from the left; the caller may leave out spans at the end. */
function connectionSpans(connection: ConnectionStatus, { symbols }: View): Line {
  if (connection.kind !== "waiting") {
    const isOn = connection.kind === "connected";
    const tone = isOn ? "good" : "faint";
    return [span(isOn ? symbols.on : symbols.off, tone), span(` ${connection.kind}`, tone)];
  }
  const since = ` since ${localClock(new Date(connection.sinceMs))}`;
  return [symbols.off, " not connected", since].map((text) => span(text, "warning"));
}

/** The last line, with as many hints as fit. */
export function footerLine(hints: readonly string[], { width }: View): Line {
  const fits = (count: number): boolean => columns(hints.slice(0, count).join("  ")) <= width;
  return [span(hints.filter((_, at) => fits(at + 1)).join("  "), "faint")];
}

/** The text for a terminal that is too small; null if it is large enough. */
function tooSmallLines({ width, height, symbols }: ScreenSize): readonly Line[] | null {
  if (width >= LEAST_WIDTH && height >= LEAST_HEIGHT) return null;
  const text = `Too small: needs ${LEAST_WIDTH}×${LEAST_HEIGHT}, has ${width}×${height}. q quits.`;
  return paragraph(text.replaceAll("×", symbols.times), width, height, symbols.ellipsis).map((line) => [
    span(line, "warning"),
  ]);
}

// The overlay on the shown screen: the help, or the commands that do the same in a shell.

function createOverlay() {
  let state: ({ readonly kind: "help" | "shells" } & ScrollPosition) | null = null;
  return {
    isOpen: (): boolean => state !== null,
    open(kind: "help" | "shells"): void {
      state = { kind, top: 0 };
    },
    /** Passes a key to the overlay; false if there is none. */
    onKey(key: Key): boolean {
      if (state === null) return false;
      const by = isNamed(key, "down") ? 1 : isNamed(key, "up") ? -1 : 0;
      state = by === 0 ? null : { ...state, top: state.top + by };
      return true;
    },
    /** As many lines as fit; null if there is no overlay. */
    draw(shown: Screen, screens: readonly Screen[], size: ScreenSize): readonly Line[] | null {
      if (state === null) return null;
      const lines = state.kind === "help" ? helpLines(shown, screens) : shellLines(shown.shells());
      return detailsPart(lines, state, size.height, size);
    },
    hints: (): readonly string[] | null =>
      state === null ? null : ["arrows scroll", "any other key closes"],
  };
}

const EVERYWHERE: readonly KeyHelp[] = [
  { keys: "1 to 5", does: "the views, in their order" },
  { keys: "?", does: "this help" },
  { keys: "$", does: "which commands do the same in a shell" },
  { keys: "q", does: "leave; asks once when something is not saved" },
  { keys: "Ctrl-C", does: "leave at once" },
];

function helpLines(shown: Screen, screens: readonly Screen[]): readonly Line[] {
  return [
    [span(`Keys of ${shown.title}`, "strong"), span(`  ${shown.about}`, "faint")],
    ...keyLines(shown.keys),
    [],
    [span("Keys everywhere", "strong")],
    ...keyLines([
      ...screens.map(({ key, title, about }) => ({ keys: key, does: `${title}: ${about}` })),
      ...EVERYWHERE,
    ]),
  ];
}

function shellLines(shells: readonly ShellLine[]): readonly Line[] {
  return [
    [span("In a shell", "strong")],
    ...shells.flatMap(({ does, command }): Line[] => [
      [span(`  ${does}`, "faint")],
      [span("    "), span(command, "accent")],
    ]),
  ];
}

function keyLines(keys: readonly KeyHelp[]): readonly Line[] {
  const width = Math.max(0, ...keys.map(({ keys: name }) => columns(name))) + 2;
  return keys.map(({ keys: name, does }) => [span(`  ${padded(name, width)}`, "accent"), span(does)]);
}
