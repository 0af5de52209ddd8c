// The interface of a screen: its key, its title, what it draws, and the keys it handles.
import type { Key } from "./key.ts";
import type { Line } from "./line.ts";
import type { Readable } from "./store.ts";
import type { View } from "./terminal-style.ts";

/** The room a screen has: `width` columns and `height` lines. */
export interface ScreenSize extends View {
  readonly height: number;
}

/** One line of the help for keys. */
export interface KeyHelp {
  /** `Tab, Shift-Tab`. */
  readonly keys: string;
  readonly does: string;
}

/** Something a person can ask for by its name, in the palette. */
export interface Command {
  /** `switch core to fallback`: unique among all commands. */
  readonly name: string;
  run(): void;
}

/** The views of the page, which the first line names; a screen is a part of one. */
export type ViewName = "Home" | "Shares" | "Servers" | "Activity" | "Settings";

/** One per entry of `screens.ts`. Made once; its state outlives being hidden. */
export interface Screen {
  /** The key that brings it up: one character. */
  readonly key: string;
  readonly view: ViewName;
  /** One word. */
  readonly title: string;
  /** What it is for, for help and palette. */
  readonly about: string;
  /** All keys it takes, for the help. */
  readonly keys: readonly KeyHelp[];
  /** Tells that it should be drawn again; called as often as it likes, the frame draws a few times a second. */
  readonly changes: Pick<Readable<unknown>, "subscribe">;
  /** Called when it is shown, each time; `signal` aborts when another screen is shown, or the program ends. */
  open?(signal: AbortSignal): void;
  /** The room for `draw`, told before it when it has changed; not part of drawing, so it may change the state. */
  resize?(size: ScreenSize): void;
  /** At most `size.height` lines of at most `size.width` columns; the frame cuts what is more. Pure. */
  draw(size: ScreenSize): readonly Line[];
  /** The keys that mean something now, for the last line: `Tab next`. */
  hints(size: ScreenSize): readonly string[];
  /** False: the key means nothing here, and may mean something to the frame. */
  onKey(key: Key): boolean;
  /** Text that was pasted in one piece. False, or absent: it comes as the keys it is made of. */
  onPaste?(text: string): boolean;
  /**
   * True while a save or load is under way on which keys depend: the frame keeps them in order until it is false, which
   * `changes` has to tell. They are dropped when another screen is shown by anything but one of them.
   */
  holdsKeys?(): boolean;
  /** Whether leaving now would lose what a person has set; the screen then says so. */
  warnUnsaved?(): boolean;
  /** Resolves when all that is being saved is answered, with what kept any of it from being saved, or null. */
  saved?(): Promise<string | null>;
  /** What can be done here, for the palette. */
  commands?(): readonly Command[];
}
