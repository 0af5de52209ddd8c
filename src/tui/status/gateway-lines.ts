// The gateway in the live view: one line for itself and one for each backend, those with trouble first.
import { phaseWord, waitingText } from "../../api/backend-phases.ts";
import type { BackendStatus, GatewayStatus } from "../../api/contract.ts";
import { placesText } from "../../api/words/tool-places.ts";
import { columns } from "../../runtime/text/plain-text.ts";
import { cutLine, cutText, type Line, type Span, span, type Tone } from "../terminal/line.ts";
import type { View } from "../terminal/view.ts";
import type { GatewayGlance } from "./sync-source.ts";

const NAME_WIDTH = 20;
const PHASE_WIDTH = 14;
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
  const troubled = backends.filter((backend) => rankOf(backend) < RANKS.Pending).length;
  const conditions = gateway.conditions.filter(({ severity }) => severity !== "info");
  const facts = [`${gateway.sessions} sessions`, `${backends.length} backends`, `${gateway.tools} tools`];
  return [
    span("Gateway ", "faint"),
    gateway.url === null ? span(`${symbols.error} not listening`, "bad") : span(gateway.url),
    span(GAP + facts.map(singular).join(GAP)),
    ...(troubled > 0 ? [span(`${GAP}${symbols.error} ${troubled} not well`, "bad")] : []),
    ...conditions.map(({ title }): Span => span(`${GAP}${symbols.warning} ${title}`, "warning")),
  ];
}

function singular(fact: string): string {
  return fact.startsWith("1 ") ? fact.slice(0, -1) : fact;
}

function backendLine(backend: BackendStatus, { symbols }: View): Line {
  const [mark, tone] = markOf(backend, symbols);
  const { enabled, phase, in_flight: inFlight, draining, withheld_tools: withheld = 0 } = backend;
  const facts = [
    ...(enabled ? [singular(`${backend.tools} tools`)] : []),
    ...togetherFacts(backend),
    ...routeFacts(backend),
    ...(withheld > 0 ? [`${withheld} withheld`] : []),
    ...(backend.group === null ? [] : [`group ${backend.group}`]),
    ...(inFlight > 0 ? [`${inFlight} in flight`] : []),
    ...(draining > 0 ? [`${draining} draining`] : []),
  ];
  const condition = backend.conditions.find(({ severity }) => severity !== "info");
  const waiting = waitingText(backend);
  const why =
    condition?.title ??
    waiting ??
    (phase === "Ready" || !enabled ? null : (backend.reason ?? backend.last_error));
  const name = cutText(span(backend.name).text, NAME_WIDTH, symbols.ellipsis);
  const word = enabled ? phaseWord(phase) : "disabled";
  return [
    span(`${GAP}${mark} `, tone),
    span(padded(name, NAME_WIDTH)),
    span(padded(word, PHASE_WIDTH), tone),
    span(facts.join(", ")),
    ...(why === null
      ? []
      : [
          span(
            `${facts.length > 0 ? GAP : ""}${why}`,
            condition === undefined && waiting === null ? tone : "warning",
          ),
        ]),
  ];
}

/** Where calls of the tools go that it has in common with other machines, best first. */
function togetherFacts({ together }: BackendStatus): string[] {
  return together === undefined ? [] : [`${together.tools} in common: ${placesText(together.places)}`];
}

/** Over which route it goes, and which one is ready to go back to. */
function routeFacts({ routes }: BackendStatus): string[] {
  if (routes === undefined) return [];
  const { in_use: used, held, recovery_pending: pending } = routes;
  return [
    ...(used === null ? [] : [`over ${used}${held === null ? "" : " (held)"}`]),
    ...(pending === null ? [] : [`${pending.route} READY: ${pending.reason}`]),
  ];
}

/** What needs eyes comes first; the rest stays in the order of the file. */
const RANKS = {
  Failed: 0,
  Degraded: 1,
  condition: 2,
  Pending: 3,
  Initializing: 3,
  ShuttingDown: 3,
  Ready: 4,
  disabled: 5,
};

function rankOf({ enabled, phase, conditions }: BackendStatus): number {
  if (!enabled) return RANKS.disabled;
  const isTold = conditions.some(({ severity }) => severity !== "info");
  return isTold ? Math.min(RANKS.condition, RANKS[phase]) : RANKS[phase];
}

function markOf({ enabled, phase }: BackendStatus, symbols: View["symbols"]): [string, Tone] {
  if (!enabled) return [symbols.off, "faint"];
  switch (phase) {
    case "Ready":
      return [symbols.on, "good"];
    case "Degraded":
      return [symbols.warning, "warning"];
    case "Failed":
      return [symbols.error, "bad"];
    case "Pending":
    case "Initializing":
    case "ShuttingDown":
      return [symbols.off, "accent"];
  }
}

function padded(text: string, width: number): string {
  return `${text}${" ".repeat(Math.max(1, width + 1 - columns(text)))}`;
}
