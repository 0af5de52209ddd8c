// The interface of a screen: its key, its title, what it draws, and the keys it handles.

import type { Readable } from "../../runtime/store.ts";
import type { Key } from "./key.ts";
import type { Line, View } from "./line.ts";

export interface ScreenSize extends View {
  readonly height: number;
}

export interface KeyHelp {
  /** For example `Tab, Shift-Tab`. */
  readonly keys: string;
  readonly does: string;
}

/** A command line that does what a key of the screen does. */
export interface ShellLine {
  readonly does: string;
  readonly command: string;
}

/**
 * The views, which are the same in the first line of the terminal and on the web page. Each screen belongs to one
 * view.
 */
export type ViewName = "Home" | "Shares" | "Servers" | "Activity" | "Settings";

/** One entry of `screens.ts`. Created once; keeps its state while another screen is shown. */
export interface Screen {
  /** The key that shows the screen: one character. */
  readonly key: string;
  readonly view: ViewName;
  /** One word. */
  readonly title: string;
  readonly about: string;
  readonly keys: readonly KeyHelp[];
  /**
   * Notifies when the screen must be drawn again. It may notify at any rate, because the frame draws at most 20 times
   * a second.
   */
  readonly changes: Pick<Readable<unknown>, "subscribe">;
  /** Called each time the screen is shown; `signal` aborts when another one is shown, or the program ends. */
  open?(signal: AbortSignal): void;
  /** Called before `draw` if the size has changed; may change the state. */
  resize?(size: ScreenSize): void;
  /** At most `size.height` lines of at most `size.width` columns; the frame cuts longer ones. Pure. */
  draw(size: ScreenSize): readonly Line[];
  /** The keys with a meaning now, for the last line: `Tab next`. */
  hints(size: ScreenSize): readonly string[];
  /** Handles a key; false if it has no meaning for the screen, so that the frame handles it. */
  onKey(key: Key): boolean;
  /**
   * True while keys have to wait for a save or load; `changes` must announce the end of the wait. If another screen is
   * shown before that, the waiting keys are dropped, unless one of them opened that screen.
   */
  queuesKeys?(): boolean;
  /** True if leaving now would lose unsaved changes; the screen then shows a warning. */
  warnUnsaved?(): boolean;
  /** Waits for the save under way, and resolves with the reason of its failure; null: none failed. */
  saved?(): Promise<string | null>;
  /** The command lines that do what the screen does, those for the chosen row first. */
  shells(): readonly ShellLine[];
}
