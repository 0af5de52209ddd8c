// Owns what the demo needs to know of the terminal it speaks to; the command line provides it.

type Style = (text: string) => string;

/** How things look: in colour or not, with which symbols. */
export interface Paint {
  readonly symbols: Readonly<Record<"on" | "off" | "good" | "bad" | "ready" | "arrow" | "dot", string>>;
  readonly bold: Style;
  readonly dim: Style;
  readonly red: Style;
  readonly green: Style;
  readonly yellow: Style;
  readonly cyan: Style;
  /** What can't be missed. */
  readonly banner: Style;
}

export interface Manner {
  readonly unicode: boolean;
  readonly paint: Paint;
  /** One line in which nothing drives or deceives a terminal. */
  readonly harmless: (text: string) => string;
  /** How many columns a terminal gives to harmless text. */
  readonly columns: (text: string) => number;
}
