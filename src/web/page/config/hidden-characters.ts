// Where a text has characters that nobody sees: a text field cannot show them. Pure.
import { unseenText } from "../../../runtime/text/unseen-characters.ts";

const MOST = 20;

/** One for each line that has some. */
export function hiddenPlaces(
  text: string,
): readonly { readonly line: number; readonly column: number; readonly text: string }[] {
  const found: { line: number; column: number; text: string }[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (found.length >= MOST) break;
    const what = unseenText(line);
    if (what !== null) found.push({ line: index + 1, column: 1, text: what });
  }
  return found;
}
