// The colours and symbols of text in a terminal.

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
  /** Bold black on yellow. */
  readonly banner: Style;
}

/** The symbol and colour of a tone. The symbol tells the tone even without colour. */
export function tonePaint(
  tone: "good" | "plain" | "warning" | "bad",
  { symbols, ...paint }: Paint,
): { readonly mark: string; readonly style: Style } {
  switch (tone) {
    case "good":
      return { mark: symbols.on, style: paint.green };
    case "plain":
      return { mark: symbols.off, style: paint.dim };
    case "warning":
      return { mark: symbols.warning, style: paint.yellow };
    case "bad":
      return { mark: symbols.bad, style: paint.red };
  }
}
