// The published tools as text. Pure.
import type { ToolEntry } from "../../api/contract.ts";
import { placesText } from "../../api/words/backend-words.ts";
import { columns, harmless, padded, wrapped } from "../../runtime/text/plain-text.ts";
import { paintFor, type TerminalStyle } from "./terminal-style.ts";

const LONGEST_NAME = 40;
const LONGEST_BACKEND = 20;
/** Less of a description says nothing: then there is none. */
const LEAST_DESCRIPTION = 16;
const GAP = "  ";

type ListedTool = Pick<ToolEntry, "name" | "backend" | "description" | "places">;

/** A line for each tool: its name, its backend, where it is served, and as much of its description as has room. */
export function renderTools(tools: readonly ListedTool[], style: TerminalStyle): string {
  const paint = paintFor(style);
  const nameWidth = widest(
    tools.map(({ name }) => name),
    LONGEST_NAME,
  );
  const backendWidth = widest(
    tools.map(({ backend }) => backend),
    LONGEST_BACKEND,
  );
  return tools
    .map(({ name, backend, description, places }) => {
      const shownName = padded(harmless(name), nameWidth);
      const shownBackend = padded(harmless(backend), backendWidth);
      const room = style.width - columns(`${shownName}${GAP}${shownBackend}${GAP}`);
      const where = places === undefined ? "" : `[${placesText(places)}] `;
      const said = firstWords(where + (description ?? ""), room, style.unicode ? "\u2026" : "..");
      const end = said === "" ? "" : `${GAP}${said}`;
      const plain = said === "" ? shownBackend.trimEnd() : shownBackend;
      return `${paint.bold(shownName)}${GAP}${paint.dim(plain)}${end}\n`;
    })
    .join("");
}

function widest(names: readonly string[], most: number): number {
  return Math.min(
    most,
    names.reduce((width, name) => Math.max(width, columns(harmless(name))), 0),
  );
}

function firstWords(description: string, room: number, ellipsis: string): string {
  if (!(room >= LEAST_DESCRIPTION)) return "";
  const [first = "", ...more] = wrapped(harmless(description), room);
  if (more.length === 0 && columns(first) <= room) return first;
  const [cut = ""] = wrapped(harmless(description), room - columns(ellipsis));
  return columns(cut) + columns(ellipsis) <= room ? `${cut}${ellipsis}` : "";
}
