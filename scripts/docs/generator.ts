// A generated document: a path in the checkout, and the text that belongs there.

export interface DocumentGenerator {
  /** Relative to the checkout. */
  readonly path: string;
  generate(): string | Promise<string>;
}

/** Cell text for a Markdown table: a `|` would end the cell. */
export function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
