// How text is marked in a terminal: in colour or not, with which symbols.

export interface Symbols {
  readonly on: string;
  readonly off: string;
  readonly bad: string;
  readonly good: string;
  readonly skip: string;
  readonly warning: string;
  readonly info: string;
  readonly arrow: string;
  readonly ready: string;
  readonly dot: string;
}

export type Style = (text: string) => string;

export interface Paint {
  readonly symbols: Symbols;
  readonly bold: Style;
  readonly dim: Style;
  readonly red: Style;
  readonly green: Style;
  readonly yellow: Style;
  readonly cyan: Style;
  /** Bold black on yellow: what can't be missed. */
  readonly banner: Style;
}
