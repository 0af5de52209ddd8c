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

const TONES = {
  good: ["on", "green"],
  plain: ["off", "dim"],
  warning: ["warning", "yellow"],
  bad: ["bad", "red"],
} as const;

/** The symbol and colour of a tone. The symbol shows the tone even without colour. */
export function tonePaint(
  tone: keyof typeof TONES,
  { symbols, ...paint }: Paint,
): { readonly mark: string; readonly style: Style } {
  const [symbol, colour] = TONES[tone];
  return { mark: symbols[symbol], style: paint[colour] };
}
