// The interface of a screen: its key, its name, its content, and the keys it handles.
import type { ComponentType } from "react";
import type { Connection } from "./connection.ts";
import type { Key } from "./key.ts";
import type { Readable } from "./store.ts";
import type { TuiStyle } from "./terminal-style.ts";

export interface ScreenProps {
  /** Columns. */
  readonly width: number;
  /** Lines; a screen draws no more than these. */
  readonly height: number;
  readonly style: TuiStyle;
}

export interface Screen {
  /** The key that brings it up. */
  readonly key: string;
  readonly name: string;
  readonly Body: ComponentType<ScreenProps>;
  /** The keys that mean something now, for the last line: `Tab next`. */
  readonly hints: Readable<readonly string[]>;
  /** How its daemon is. */
  readonly connection: Readable<Connection>;
  /** False: the key means nothing here, and may mean something to the frame. */
  onKey(key: Key): boolean;
  /** Whether leaving now would lose what a person has set; the screen then says so. */
  warnUnsaved(): boolean;
}
