// The colours and symbols of text in a terminal.

export type Symbols = Readonly<
  Record<"on" | "off" | "bad" | "good" | "skip" | "warning" | "info" | "arrow" | "ready" | "dot", string>
>;

export type Style = (text: string) => string;

/** `banner`: bold black on yellow. */
export interface Paint
  extends Readonly<Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "banner", Style>> {
  readonly symbols: Symbols;
}

/** The symbol and colour of a tone. The symbol shows the tone even without colour. */
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
