// The gateway in the live view: one line for itself and one for each backend, those with trouble first.
import type { BackendStatus, GatewayStatus } from "../../api/contract.ts";
import { backendFacts, backendWords, togetherText } from "../../api/words/backend-words.ts";
import { type Tone, troublesOf } from "../../api/words/words.ts";
import { columns, counted } from "../../runtime/text/plain-text.ts";
import { cutLine, cutText, type Line, type Span, span } from "../terminal/line.ts";
import { toneMark } from "../terminal/terminal-style.ts";
import type { View } from "../terminal/view.ts";
import type { GatewayGlance } from "./sync-source.ts";

const NAME_WIDTH = 20;
const STATE_WIDTH = 14;
const GAP = "  ";

/** At most `limit` lines; none without a gateway. Those that have no room are counted. */
export function gatewayLines(glance: GatewayGlance | null, view: View, limit: number): readonly Line[] {
  if (glance === null || limit <= 0) return [];
  const { gateway, backends } = glance;
  const head = cutLine(headLine(gateway, backends, view), view.width, view.symbols.ellipsis);
  const sorted = [...backends].sort((one, other) => rankOf(one) - rankOf(other));
  const room = limit - 1;
  const shown = sorted.length <= room ? sorted : sorted.slice(0, Math.max(0, room - 1));
  const rest = sorted.length - shown.length;
  const lines = shown.map((backend) =>
    cutLine(backendLine(backend, view), view.width, view.symbols.ellipsis),
  );
  const more = cutLine([span(`${GAP}and ${rest} more`, "faint")], view.width, view.symbols.ellipsis);
  return [head, ...lines, ...(rest > 0 && room > 0 ? [more] : [])];
}

function headLine(gateway: GatewayStatus, backends: readonly BackendStatus[], { symbols }: View): Line {
  const troubled = backends.filter((backend) => rankOf(backend) <= RANKS.warning).length;
  const facts = [
    counted(gateway.sessions, "session"),
    counted(backends.length, "backend"),
    counted(gateway.tools, "tool"),
  ];
  return [
    span("Gateway ", "faint"),
    gateway.url === null ? span(`${symbols.error} not listening`, "bad") : span(gateway.url),
    span(GAP + facts.join(GAP)),
    ...(troubled > 0 ? [span(`${GAP}${symbols.error} ${troubled} not well`, "bad")] : []),
    ...troublesOf(gateway.conditions).map(
      ({ title }): Span => span(`${GAP}${symbols.warning} ${title}`, "warning"),
    ),
  ];
}

function backendLine(backend: BackendStatus, { symbols }: View): Line {
  const { text, tone, why } = backendWords(backend);
  const together = togetherText(backend);
  const facts = [...backendFacts(backend), ...(together === null ? [] : [together])].join(", ");
  const name = cutText(span(backend.name).text, NAME_WIDTH, symbols.ellipsis);
  return [
    span(`${GAP}${toneMark(tone, symbols)} `, tone),
    span(padded(name, NAME_WIDTH)),
    span(padded(span(text).text, STATE_WIDTH), tone),
    ...(why === null ? [] : [span(`${why}${GAP}`, tone === "good" ? "warning" : tone)]),
    span(facts),
  ];
}

/** What needs eyes comes first; the rest stays in the order of the file. */
const RANKS: Readonly<Record<Tone, number>> = { bad: 0, warning: 1, plain: 2, good: 3 };

function rankOf(backend: BackendStatus): number {
  return backend.enabled ? RANKS[backendWords(backend).tone] : RANKS.good + 1;
}

function padded(text: string, width: number): string {
  return `${text}${" ".repeat(Math.max(1, width + 1 - columns(text)))}`;
}
