// Lines and columns of a text, as mistakes name them, and offsets, as a text field has them. Pure.

/** The offset of a line and column, both from 1, the column in characters; never beyond the text. */
export function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split("\n");
  const before = lines.slice(0, Math.max(0, line - 1)).reduce((sum, each) => sum + each.length + 1, 0);
  const inLine = [...(lines[line - 1] ?? "")].slice(0, Math.max(0, column - 1)).join("").length;
  return Math.min(text.length, before + inLine);
}

/** Line and column of an offset, both from 1. */
export function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const above = text.slice(0, offset).split("\n");
  return { line: above.length, column: [...(above.at(-1) ?? "")].length + 1 };
}
