// The rows of the dashboard: what there is to see of a status, in order, and which rows can be chosen. Pure.
import type { ApprovalsReport } from "../../api/approval-contract.ts";
import type { BackendStatus, Condition, ShareStatus, StatusReport } from "../../api/contract.ts";
import { readyText } from "../../api/words/share-words.ts";

export type DashboardRow =
  | { readonly kind: "head"; readonly text: string }
  | { readonly kind: "share"; readonly id: string; readonly share: ShareStatus }
  /** Thunderbolt is back, and the share is not there yet. */
  | { readonly kind: "ready"; readonly text: string; readonly share: ShareStatus }
  | { readonly kind: "backend"; readonly id: string; readonly backend: BackendStatus }
  /** A connected client, as `clientWords` has it. */
  | { readonly kind: "client"; readonly words: readonly string[] }
  | { readonly kind: "waiting"; readonly id: string; readonly summary: string }
  | { readonly kind: "condition"; readonly subject: string | null; readonly condition: Condition };

/** A row that keys act on. */
export type ChoiceRow = Extract<DashboardRow, { readonly id: string }>;

export function isChoice(row: DashboardRow): row is ChoiceRow {
  return row.kind === "share" || row.kind === "backend" || row.kind === "waiting";
}

export function dashboardRows(
  status: StatusReport,
  approvals: ApprovalsReport | null,
  clients: readonly (readonly string[])[] = [],
  nowMs = 0,
): readonly DashboardRow[] {
  const { global, shares, gateway, backends = [], aliases = [] } = status;
  const waiting = approvals?.waiting ?? [];
  const conditions = [
    ...global.conditions.map((condition) => ({ subject: null, condition })),
    ...(gateway?.conditions ?? []).map((condition) => ({ subject: "gateway", condition })),
    ...shares.flatMap(({ name, conditions: own }) => own.map((condition) => ({ subject: name, condition }))),
    ...backends.flatMap(({ name, conditions: own }) =>
      own.map((condition) => ({ subject: name, condition })),
    ),
  ];
  const broken = aliases.filter(({ link }) => link !== "right").length;
  return [
    {
      kind: "head",
      text: headText("Shares", shares.length, broken === 0 ? null : `${broken} aliases not right`),
    },
    ...shares.flatMap((share): DashboardRow[] => {
      const text = readyText(share, global, nowMs);
      const row: DashboardRow = { kind: "share", id: `share ${share.name}`, share };
      return text === null ? [row] : [row, { kind: "ready", text, share }];
    }),
    ...(gateway === undefined
      ? []
      : [
          {
            kind: "head" as const,
            text: headText("Backends", backends.length, gateway.url ?? "not listening"),
          },
        ]),
    ...backends.map((backend): DashboardRow => ({ kind: "backend", id: `backend ${backend.name}`, backend })),
    ...(clients.length === 0
      ? []
      : [{ kind: "head" as const, text: headText("Clients", clients.length, null) }]),
    ...clients.map((words): DashboardRow => ({ kind: "client", words })),
    ...(waiting.length === 0
      ? []
      : [{ kind: "head" as const, text: headText("Waits for approval", waiting.length, null) }]),
    ...waiting.map(
      ({ id, summary }): DashboardRow => ({
        kind: "waiting",
        id: `waiting ${id}`,
        summary: `${id}: ${summary}`,
      }),
    ),
    ...(conditions.length === 0
      ? []
      : [{ kind: "head" as const, text: headText("Conditions", conditions.length, null) }]),
    ...conditions.map((each): DashboardRow => ({ kind: "condition", ...each })),
  ];
}

function headText(what: string, count: number, more: string | null): string {
  return `${what} (${count})${more === null ? "" : `  ${more}`}`;
}

/** The chosen row; where that is gone, the first that can be chosen. null: none can. */
export function chosenRow(rows: readonly DashboardRow[], chosen: string | null): ChoiceRow | null {
  const choices = rows.filter(isChoice);
  return choices.find(({ id }) => id === chosen) ?? choices[0] ?? null;
}

/** The row `by` steps further, stopping at both ends. */
export function movedChoice(rows: readonly DashboardRow[], chosen: string | null, by: number): string | null {
  const choices = rows.filter(isChoice);
  const at = choices.findIndex(({ id }) => id === chosen);
  const next = Math.max(0, Math.min(choices.length - 1, Math.max(0, at) + by));
  return choices[next]?.id ?? null;
}
